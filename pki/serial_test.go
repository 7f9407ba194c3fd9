package pki

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestParseSerial(t *testing.T) {
	for _, text := range []string{
		"a0b1c2", "A0B1C2", "00a0b1c2", "a0:b1:c2", "00:A0:B1:C2", "0xa0b1c2", "0XA0B1C2", "  a0b1c2\n", strings.Repeat("0", 50) + "a0b1c2",
	} {
		if got, err := ParseSerial(text); got != "a0b1c2" || err != nil {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	if got, err := ParseSerial(strings.Repeat("f", 40)); err != nil || len(got) != 40 {
		t.Errorf("40 digits: %q, %v", got, err)
	}
	for _, text := range []string{
		"", " ", ":", "0", "00:00", "0x", "xyz", "-1", "a0 b1", "a0b1g", "a/../b", "0x0xa0", "ａ0", strings.Repeat("f", 41), strings.Repeat("0", 100) + "1",
	} {
		if got, err := ParseSerial(text); !errors.Is(err, ErrSerial) || got != "" {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestFormatSerialIsWhatParseSerialReturns(t *testing.T) {
	for _, serial := range []*big.Int{newSerial(), newSerial(), big.NewInt(1), big.NewInt(255)} {
		text := FormatSerial(serial)
		if got, err := ParseSerial(text); got != text || err != nil {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
}

func TestFingerprintIsThatOfTheWholeCertificate(t *testing.T) {
	cert := issue(t, around(t, time.Now()), time.Now())
	text := Fingerprint(cert)
	if len(text) != 32*3-1 || strings.Count(text, ":") != 31 || strings.ToUpper(text) != text {
		t.Errorf("fingerprint %q", text)
	}
}

func FuzzParseSerial(f *testing.F) {
	for _, seed := range []string{"a0b1c2", "00:A0:b1", "0xff", "0", "-1", "", "İ", strings.Repeat("f", 41), "00:" + strings.Repeat("0", 70)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseSerial(text)
		if err != nil {
			if got != "" || !errors.Is(err, ErrSerial) {
				t.Fatalf("%q is %q, %v", text, got, err)
			}
			return
		}
		n, ok := new(big.Int).SetString(got, 16)
		if !ok || n.Sign() <= 0 || FormatSerial(n) != got || n.BitLen() > 160 {
			t.Fatalf("%q became %q, which is no serial's one spelling", text, got)
		}
		for _, other := range []string{strings.ToUpper(got), "0" + got, ":" + got, got + " "} {
			if again, err := ParseSerial(other); again != got || err != nil {
				t.Fatalf("%q became %q, %v; want %q", other, again, err, got)
			}
		}
	})
}
