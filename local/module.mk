$(eval $(call library,local))
$(eval $(call program,local,veredus-local))
