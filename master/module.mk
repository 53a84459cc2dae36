$(eval $(call library,master))
$(eval $(call program,master,veredus-master))
