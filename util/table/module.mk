$(eval $(call library,util/table))
