$(eval $(call library,qmgr))
$(eval $(call program,qmgr,veredus-qmgr))
