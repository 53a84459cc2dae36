$(eval $(call library,ctl))
$(eval $(call program,ctl,veredus))
