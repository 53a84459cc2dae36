$(eval $(call library,util/ipc))
