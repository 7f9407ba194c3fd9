package control

import "time"

// When the end of a certificate is worth a word, and when it presses. Alerts and pages go by the same.
const (
	ExpirySoon   = 30 * 24 * time.Hour
	ExpiryUrgent = 7 * 24 * time.Hour
)

// AttentionKind is what there is to see to.
type AttentionKind int

const (
	NoRouteAnswers AttentionKind = iota
	RouteIsDown
	CertificateExpires
)

// Attention is something about a frontend that its owner should see to.
type Attention struct {
	Kind    AttentionKind
	Urgent  bool        // connections fail, or soon will
	Since   time.Time   // when it began; zero when that is not known
	Route   RouteStatus // of RouteIsDown
	Others  int         // routes beside that one
	Expires time.Time   // of CertificateExpires: when the first one does
}

// Attention lists what the owner of the frontend should see to now.
func (s Status) Attention(now time.Time) (all []Attention) {
	if s.State == StateDown {
		all = append(all, Attention{Kind: NoRouteAnswers, Urgent: true, Since: s.newestChange()})
	}
	if s.State == StateDegraded {
		for _, r := range s.Routes {
			if r.State == StateDown {
				all = append(all, Attention{Kind: RouteIsDown, Urgent: true, Since: r.Since, Route: r, Others: len(s.Routes) + len(s.Removed) - 1})
			}
		}
	}
	if left := s.NextExpiry.Sub(now); s.Active && !s.NextExpiry.IsZero() && left < ExpirySoon {
		all = append(all, Attention{Kind: CertificateExpires, Urgent: left < ExpiryUrgent, Expires: s.NextExpiry})
	}
	return all
}

// newestChange is when the last of its routes came into the state that it is in.
func (s Status) newestChange() (at time.Time) {
	for _, r := range s.Routes {
		if r.Since.After(at) {
			at = r.Since
		}
	}
	return at
}

// IsNew tells that nothing has come back through the frontend yet, as far as is known.
func (s Status) IsNew() bool {
	return s.BytesOut == 0 && (s.State == StateWaiting || s.State == StateOff)
}
