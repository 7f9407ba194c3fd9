package store

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNamesAreKeptAndRemoved(t *testing.T) {
	s, _ := openStore(t)
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	one := Name{Host: "db.internal", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}, At: at}
	if err := s.PutNames(t.Context(), []Name{one, {Host: "web.internal", At: at}}); err != nil {
		t.Fatal(err)
	}
	one.Addresses = one.Addresses[1:]
	if err := s.PutNames(t.Context(), []Name{one}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteNames(t.Context(), []string{"web.internal", "never.internal"}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Names(t.Context())
	if err != nil || len(all) != 1 || all[0].Host != one.Host || len(all[0].Addresses) != 1 || all[0].Addresses[0] != one.Addresses[0] || !all[0].At.Equal(at) {
		t.Errorf("%v, %v", all, err)
	}
}

func TestNamesThatAreNoKeys(t *testing.T) {
	s, _ := openStore(t)
	many := make([]Name, MaxNamesAtOnce+1)
	for i := range many {
		many[i].Host = strconv.Itoa(i)
	}
	for _, names := range [][]Name{{{Host: "a/b"}}, {{Host: ""}}, {{Host: strings.Repeat("x", maxID+1)}}, many} {
		if err := s.PutNames(t.Context(), names); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.40v: %v", names, err)
		}
	}
	if err := s.PutNames(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
