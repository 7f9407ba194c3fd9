package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAllGoOnWithTheSameSecret(t *testing.T) {
	s, _ := openStore(t)
	got := make([]Secret, 20)
	errs := together(20, func(i int) (err error) {
		got[i], err = s.PutSecretOnce(t.Context(), Secret{Name: "signing", Value: []byte{byte(i)}, CreatedAt: at})
		return err
	})
	if n := succeeded(t, errs, nil); n != 20 {
		t.Fatalf("got %d, want 20", n)
	}
	stored := found[Secret](t)(s.Secret(t.Context(), "signing"))
	for i := range got {
		if diff := cmp.Diff(stored, got[i]); diff != "" {
			t.Errorf("caller %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestSecretIsReplaced(t *testing.T) {
	s, _ := openStore(t)
	for _, value := range []string{"one", "two", ""} {
		want := Secret{Name: "n", Value: []byte(value), CreatedAt: at}
		want.Revision = done(t)(s.PutSecret(t.Context(), want))
		if diff := cmp.Diff(want, found[Secret](t)(s.Secret(t.Context(), "n"))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestSecretsNameFitsIntoAKey(t *testing.T) {
	s, _ := openStore(t)
	for _, name := range []string{"", "a/b", "a b", strings.Repeat("n", 201)} {
		refused(t, ErrInvalid)(s.PutSecret(t.Context(), Secret{Name: name}))
		if got, err := s.PutSecretOnce(t.Context(), Secret{Name: name}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %+v, %v; want %v", name, got, err, ErrInvalid)
		}
		if got, err := s.Secret(t.Context(), name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %+v, %v; want %v", name, got, err, ErrNotFound)
		}
	}
	if got, err := s.Secret(t.Context(), "unknown"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %+v, %v; want %v", got, err, ErrNotFound)
	}
}
