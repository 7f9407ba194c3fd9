package views

import (
	"fmt"
	"time"
)

// The account page: its own words. Those of API keys and sessions stand in their files.
const (
	TitleDeleteAccount = "Delete account"

	saveName      = "Save name"
	ClientChanged = "Somebody changed the client meanwhile. Look at it, and save again."

	keyHeading       = "Client key"
	keyHow           = "Used to log in and to get API tokens."
	keyReplace       = "Replace the key"
	keyReplaceButton = "Replace key"
	keyReplaced      = "Your new client key"
	createdWord      = "Created"
	oldKeyUntil      = "The one before works until"
	graceLegend      = "The old key keeps working for"
	graceHint        = "With “Not at all” other browsers are logged out at once. Tokens go on until they expire."

	shortcutsLabel = "Single-key shortcuts"
	shortcutsSave  = "Save shortcuts"

	deleteAccountWord    = "Delete this account"
	deleteAccountButton  = "Delete account"
	deleteAccountConfirm = "You type the name to confirm."
)

// graces are how long an old client key may go on, in seconds.
var graces = []Choice{{"0", "Not at all"}, {"3600", "1 hour"}, {"86400", "1 day"}, {"604800", "7 days"}}

func keyReplacedHow(oldUntil time.Time) string {
	text := "Copy it now: it is shown this once, and XLB keeps only a hash."
	if oldUntil.IsZero() {
		return text + " The old one has ended."
	}
	return text + " The old one works until " + instant(oldUntil) + "."
}

func shortcutsState(off bool) string {
	if off {
		return "Off."
	}
	return "On, in this browser."
}

func deleteAccountText(h Holdings) string {
	return fmt.Sprintf("Closes %s, revokes %s and deletes %s.",
		plural(h.Connections, "connection"), plural(h.Certificates, "certificate"), plural(h.Frontends, "frontend"))
}
