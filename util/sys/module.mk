$(eval $(call library,util/sys))
