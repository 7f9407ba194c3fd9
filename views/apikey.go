package views

import "strings"

const (
	apiKeysHeading = "API keys"
	apiKeysHow     = "For scripts, with only the rights they need."
	apiKeysNone    = "There are none yet."
	apiKeyNew      = "New API key"
	apiKeyMake     = "Make the key"
	apiKeyOnce     = "Copy it now: it is shown this once. Send it as a bearer token."
	copyAPIKey     = "Copy the API key"
	apiKeyNameHint = "What uses it, such as ci or grafana."
	mayColumn      = "May"
	mayLegend      = "It may"
	readAlways     = "Look at everything but keys, always."
	scopeWrite     = "Change frontends and routes, revoke certificates, close connections"
	scopeIssue     = "Issue certificates"
	boundLabel     = "For"
	goodForLabel   = "Good for"
	lastUsedColumn = "Last used"
	expiresColumn  = "Expires"
	neverWord      = "Never"
	expiredWord    = "Expired"
	revokeKeyHow   = "Whatever uses it is refused at once."
)

// keyDays are the lives that a key may have.
var keyDays = []Choice{{"7", "7 days"}, {"30", "30 days"}, {"90", "90 days"}, {"365", "1 year"}, {"730", "2 years"}}

func apiKeyMade(name string) string { return "The key “" + name + "” is made" }

// TitleRevokeKey is the title of the page that asks before a key is revoked.
func TitleRevokeKey(name string) string { return name + " · " + accountHeading }

func revokeKey(name string) string { return "Revoke “" + name + "”" }

// mayOf is what a key may, and where.
func mayOf(k APIKey) string {
	may := strings.ReplaceAll(k.Scope, " ", ", ")
	if k.Frontend != "" {
		may += " · " + k.Frontend
	}
	return may
}
