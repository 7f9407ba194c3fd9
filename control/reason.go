package control

import "github.com/xdire/xlb/lb"

// Why a certificate opens nothing, beside what the balancer itself knows.
const (
	reasonOtherCA  lb.Reason = "other-ca" // the certificate is of another authority
	reasonNotYet   lb.Reason = "not-yet"  // the certificate is not valid yet
	reasonRevoked  lb.Reason = "revoked"  // the certificate was revoked
	reasonOff      lb.Reason = "off"      // the frontend is switched off
	reasonGone     lb.Reason = "gone"     // what the certificate names does not exist any more
	reasonDisabled lb.Reason = "disabled" // the client is disabled
)

// Reasons returns the closed list of all reasons in logs and metrics. The caller owns it.
func Reasons() []lb.Reason {
	return append(lb.Reasons(), reasonOtherCA, reasonNotYet, reasonRevoked, reasonOff, reasonGone, reasonDisabled)
}
