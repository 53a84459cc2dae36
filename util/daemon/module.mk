$(eval $(call library,util/daemon))
