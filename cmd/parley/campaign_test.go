package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/campaign/policy"
)

// From a list of numbers to the answer whether one of them may be called.
func TestCampaignCommands(t *testing.T) {
	dir := t.TempDir()
	reg := filepath.Join(dir, "us-national.reg")
	if out, err := command(t, "+14155550100\n\n+14155550101\n+14155550100\n", "campaign", "register", "-", reg); err != nil || !strings.HasPrefix(out, "2 numbers; snapshot ") {
		t.Fatalf("%q %v", out, err)
	}
	if _, err := command(t, "+14155550102\n", "campaign", "register", "-", reg); err == nil {
		t.Error("a register is overwritten")
	}
	if _, err := command(t, "+14155550102\n0171\n", "campaign", "register", "-", filepath.Join(dir, "bad.reg")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}

	const noon = "--at=2026-11-23T12:00:00-08:00"
	out, err := command(t, "", "campaign", "may", "+14155550101", "--operator", noon, "--registers", reg)
	if err == nil || !strings.Contains(out, "STOPS   us/do-not-call") || !strings.HasPrefix(out, "May not be called.") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := command(t, "", "campaign", "may", "+14155550102", "--operator", noon, "--registers", reg); err != nil || !strings.HasPrefix(out, "May be called now.") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = command(t, "", "campaign", "may", "+14155550102", "--operator", "--at=2026-11-23T22:00:00-08:00")
	if err == nil || !strings.HasPrefix(out, "May be called from Tuesday 24 November 08:00 PST.") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _ = command(t, "", "campaign", "may", "+14155550102", noon, "--json")
	var v policy.Verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Allowed {
		t.Errorf("an AI agent without consent: %v %+v", err, v)
	}
	if out, err := command(t, "", "campaign", "rules", "--country", "ae"); err != nil || !strings.Contains(out, "Cabinet Resolution 56 of 2024") || strings.Contains(out, "Florida") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCampaignLeads(t *testing.T) {
	dir := t.TempDir()
	list, bad := filepath.Join(dir, "list.csv"), filepath.Join(dir, "bad.csv")
	if err := os.WriteFile(list, []byte("Tel;Name;Code\n(415) 555-0100;Anna;7\n+14155550100;Again;8\n12;Short;9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "", "campaign", "leads", list, "--in", "US", "--map", "Code=var:order", "--require", "order", "--rejected", bad)
	if err != nil || !strings.Contains(out, "3 rows: 2 can be called (1 of them are there before), 1 cannot, 0 are empty") || !strings.Contains(out, "var:order") {
		t.Errorf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(bad)
	if err != nil || !strings.HasPrefix(string(b), "row,reason,Tel,Name,Code\n4,") {
		t.Errorf("%v\n%s", err, b)
	}
	if _, err := command(t, "", "campaign", "leads", list, "--map", "Nothing=phone"); err == nil {
		t.Error("a column that is not there is mapped")
	}
}
