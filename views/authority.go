package views

import (
	"slices"
	"time"
)

// AuthoritiesProps is the page of the authorities.
type AuthoritiesProps struct {
	Page  Page
	List  []Authority
	Error string // why the last thing was not done
	About string // the authority that it is about; "" for none
}

// Authority is one of them.
type Authority struct {
	ID, State            string
	NotAfter, LastExpiry time.Time // LastExpiry: zero for no certificate
	Certificates         int       // good ones
	Servers, Stranded    bool
}

// TitleAuthorities is the name of the page.
const TitleAuthorities = "Authorities · Admin"

const (
	authoritiesHeading = "Authorities"
	authoritiesHow     = "Certificates are signed by an authority, and programs check this server with its certificate, ca.pem. To roll over, add the next one, give programs time to fetch ca.pem, let it issue, and retire the old one when nothing needs it. Each step has a way back."
	authorityAdd       = "New authority"
	authorityUse       = "Let it issue"
	authorityUseText   = "From now on it signs what is issued. The one that did so stays trusted."
	authorityBack      = "Let it issue again"
	authorityRetire    = "Retire"
	authorityTrust     = "Trust again"
	authorityTrustText = "Its certificates are accepted again, and it is back in ca.pem."
	authorityRemove    = "Remove"
	authorityRemoves   = "Its key is thrown away. There is no way back."
	authorityAnyway    = "Turn these programs away"
	authorityPorts     = "The certificates of the ports are signed by it."
	authorityStranded  = "Programs that know only this one cannot check the ports."
)

var authorityNames = map[string]string{"next": "Next", "current": "Issues", "retiring": "Retiring", "retired": "Retired"}

// authorityMarks are the states of other things that look like those of authorities.
var authorityMarks = map[string]string{"next": "waiting", "current": "up", "retiring": "draining", "retired": "off"}

func authorityText(a Authority) string {
	switch a.State {
	case "next":
		return "It is trusted and in ca.pem, and has not issued yet."
	case "current":
		return "It signs every certificate that is issued."
	case "retiring":
		return "Its certificates are accepted, and it signs no new ones."
	}
	return "Its certificates are refused."
}

func authorityHolds(a Authority) string {
	if a.Certificates == 0 {
		return "None that it signed is still good."
	}
	return plural(a.Certificates, "good certificate") + " of it, the last until " + date(a.LastExpiry) + "."
}

func authorityRetires(a Authority) string {
	text := "It leaves ca.pem. Nobody can see which programs still know only this one: they cannot check the server any more."
	if a.Certificates > 0 {
		text += " The programs with its " + plural(a.Certificates, "certificate") + " are refused, and their connections close."
	}
	return text
}

func authorityURL(a Authority) string { return "/admin/authorities/" + a.ID }

// useName is what the button says that lets an authority issue.
func useName(a Authority) string {
	if a.State == "retiring" {
		return authorityBack
	}
	return authorityUse
}

// canAdd tells whether another authority may be added.
func canAdd(list []Authority) bool {
	return !slices.ContainsFunc(list, func(a Authority) bool { return a.State == "next" })
}
