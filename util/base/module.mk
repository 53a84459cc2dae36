$(eval $(call library,util/base))
