package views

import "encoding/json"

// ScriptWords are what the scripts say. They travel with each page, so that all words of the product are in one place;
// {} is filled in by the script.
var ScriptWords = map[string]string{
	"close":        "Close",
	"connected":    "Connected again.",
	"copied":       "Copied",
	"copyByHand":   "Press Ctrl+C",
	"gone":         "The connection to XLB is gone.",
	"goneFor":      "The connection to XLB is gone. Trying again in {} s.",
	"live":         "Live",
	"liveAt":       "Live {}",
	"leaveUnsaved": "Leave without saving? What you changed stays in this browser until you save or discard it.",
	"lost":         "XLB does not answer. Nothing was changed on this page.",
	"lostDownload": "XLB does not answer. Try again.",
	"making":       "Making your key…",
	"pause":        "Pause",
	"pauseLive":    "Pause live updates",
	"paused":       "Paused",
	"pausedAt":     "Paused at {}",
	"reconnecting": "Reconnecting",
	"reload":       "Reload",
	"removeRoute":  "Remove route {}",
	"resume":       "Resume",
	"resumeLive":   "Resume live updates",
	"route":        "Route {}",
	"selectedMany": "{} connections selected. The list holds still meanwhile.",
	"selectedOne":  "1 connection selected. The list holds still meanwhile.",
	"tooManyTabs":  "Not live since {}: too many tabs are open",
	"tryNow":       "Try now",
	"unsavedMany":  "{} unsaved changes",
	"unsavedOne":   "1 unsaved change",
	"updated":      "XLB was updated. Reload when it suits you.",
	"updatedShort": "XLB was updated.",
}

var scriptWords = func() string {
	text, err := json.Marshal(ScriptWords)
	if err != nil {
		panic(err) // it is a map of texts
	}
	return string(text)
}()

// keyList is what single keys do, for the list on "?".
var keyList = []struct{ keys, text string }{
	{"/", "Search"},
	{"g o", "Overview"}, {"g f", "Frontends"}, {"g c", "Certificates"}, {"g a", "Activity"}, {"g s", "Account"},
	{"n", "New frontend"},
	{"p", "Pause or resume live updates"},
	{"[ ]", "Previous or next tab"},
	{"j k", "Next or previous row"},
	{"Enter", "Open the row"},
	{"x", "Select the row"},
	{"t", "Charts or tables"},
	{"c", "Copy the command"},
	{"Ctrl Enter", "Send the form"},
	{"F6", "Messages"},
	{"Esc", "Close a dialog, a menu or a search"},
	{"?", "This list"},
}
