$(eval $(call library,auth))
$(eval $(call program,auth,veredus-auth))
