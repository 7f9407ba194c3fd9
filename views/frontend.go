package views

// fillTone turns a meter amber from nine tenths.
func fillTone(used, max int64) string {
	if percent(used, max) >= 90 {
		return "warn"
	}
	return ""
}

// full is whether a client can have no more frontends.
func full(p FrontendTableProps) bool { return p.Limit > 0 && p.Total >= p.Limit }
