package store

import "context"

type urgentKey struct{}

// Urgent marks writes that must go through while the disk is almost full: those that take rights away
// (revoke, disable, switch off, delete), those that make room, and the log-in that one needs for them. An engine lets them use half of the space that it
// keeps free. The store marks its own deletions and UpdateCertificate; mark a client's disabling.
func Urgent(ctx context.Context) context.Context {
	return context.WithValue(ctx, urgentKey{}, true)
}

func isUrgent(ctx context.Context) bool {
	urgent, _ := ctx.Value(urgentKey{}).(bool)
	return urgent
}
