$(eval $(call library,lookup))
$(eval $(call program,lookup,veredus-lookup))
