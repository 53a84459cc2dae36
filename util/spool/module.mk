$(eval $(call library,util/spool))
