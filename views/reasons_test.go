package views

import "testing"

func TestExplainNamesWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		facts              Facts
		headline, sentence string
	}{
		{
			Facts{Code: "other-ca", Detail: "mkcert dev CA"}, "Refused: another authority",
			"The certificate is signed by “mkcert dev CA”, not by this server. Use cert.pem from the bundle you downloaded here.",
		},
		{
			Facts{Code: "other-ca"}, "Refused: another authority",
			"The certificate is signed by somebody else, not by this server. Use cert.pem from the bundle you downloaded here.",
		},
		{Facts{Code: "expired", Detail: "3 Mar 2027"}, "Refused: certificate expired on 3 Mar 2027", "Issue a new one."},
		{Facts{Code: "expired"}, "Refused: certificate expired", "Issue a new one."},
		{Facts{Code: "not-yet"}, "Refused: certificate not valid yet", "Check the clock of the machine that connects."},
		{Facts{Code: "not-yet", Detail: "3 Mar 2027 10:00 UTC"}, "Refused: certificate not valid before 3 Mar 2027 10:00 UTC", "Check the clock of the machine that connects."},
	} {
		if headline, sentence := Explain(c.facts); headline != c.headline || sentence != c.sentence {
			t.Errorf("%+v: %q, %q, want %q, %q", c.facts, headline, sentence, c.headline, c.sentence)
		}
	}
}
