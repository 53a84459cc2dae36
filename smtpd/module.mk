$(eval $(call library,smtpd))
$(eval $(call program,smtpd,veredus-smtpd))
