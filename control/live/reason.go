package live

import "github.com/xdire/xlb/lb"

// Why a certificate opens nothing, beside what the balancer itself knows.
const (
	ReasonOtherCA  lb.Reason = "other-ca"          // the certificate is of another authority
	ReasonRetired  lb.Reason = "authority-retired" // the certificate is of an authority that was retired
	ReasonNotYet   lb.Reason = "not-yet"           // the certificate is not valid yet
	ReasonRevoked  lb.Reason = "revoked"           // the certificate was revoked
	ReasonOff      lb.Reason = "off"               // the frontend is switched off
	ReasonGone     lb.Reason = "gone"              // what the certificate names does not exist any more
	ReasonDisabled lb.Reason = "disabled"          // the client is disabled
)

// Reasons returns the closed list of all reasons in logs and metrics. The caller owns it.
func Reasons() []lb.Reason {
	return append(lb.Reasons(), ReasonOtherCA, ReasonRetired, ReasonNotYet, ReasonRevoked, ReasonOff, ReasonGone, ReasonDisabled)
}
