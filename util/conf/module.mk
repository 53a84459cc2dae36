$(eval $(call library,util/conf))
