$(eval $(call library,pop3d))
$(eval $(call program,pop3d,veredus-pop3d))
