$(eval $(call library,util/mail))
