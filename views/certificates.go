package views

import "time"

func certificateHeads(frontends bool) []sortHead {
	list := []sortHead{{certificateWord, "", "name"}}
	if frontends {
		list = append(list, sortHead{frontendColumn, "", "frontend"})
	}
	return append(list, sortHead{stateColumn, "", ""}, sortHead{validUntilColumn, "", "end"}, sortHead{lastUsedColumn, "", "used"}, sortHead{keyTypeColumn, "opt", ""}, sortHead{actionColumn, "vh", ""})
}

// certificateTone is how loud the end of a certificate is: bad in its last week, warn in its last month.
func certificateTone(now time.Time, c Certificate) string {
	if c.State != "active" {
		if c.State == "expired" {
			return "bad"
		}
		return "off"
	}
	switch left := c.NotAfter.Sub(now); {
	case left < 7*24*time.Hour:
		return "bad"
	case left < 30*24*time.Hour:
		return "warn"
	}
	return ""
}

// lifeUsed is how much of its lifetime a certificate has behind it, in percent.
func lifeUsed(now time.Time, c Certificate) int {
	return percent(int64(now.Sub(c.NotBefore)/time.Second), int64(c.NotAfter.Sub(c.NotBefore)/time.Second))
}
