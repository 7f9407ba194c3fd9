package views

import "strings"

const (
	sessionsHeading = "Sessions"
	sessionsHow     = "Browsers that are logged in."
	browserColumn   = "Browser"
	loggedInColumn  = "Logged in"
	thisOne         = "This one"
	endOthers       = "Log out everywhere else"
	endAll          = "Log out everywhere"
)

func endSessionLabel(s Session) string { return "Log out " + s.Browser + " at " + s.Address }

// BrowserName is what a browser says it is, in the words of people. The order matters: most name others too.
func BrowserName(userAgent string) string {
	browser := firstIn(userAgent, [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	})
	system := firstIn(userAgent, [][2]string{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
	})
	switch {
	case browser == "" && system == "":
		return "Unknown browser"
	case browser == "":
		return "A browser on " + system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

func firstIn(text string, names [][2]string) string {
	for _, name := range names {
		if strings.Contains(text, name[0]) {
			return name[1]
		}
	}
	return ""
}
