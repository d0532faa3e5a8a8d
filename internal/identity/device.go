package identity

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	maxAgent       = 400 // bytes of a user agent that are kept
	knownPerUser   = 50
	knownKept      = 180 * 24 * time.Hour
	knownPrefixV4  = 24
	knownPrefixV6  = 48
	unknownBrowser = "Unknown browser"
)

type deviceRow struct {
	bun.BaseModel `bun:"table:known_devices"`

	UserID     string `bun:"user_id,pk"`
	Hash       string `bun:"hash,pk"`
	CreatedAt  int64  `bun:"created_at"`
	LastUsedAt int64  `bun:"last_used_at"`
}

// deviceOf names browser and system for a person to recognise: "Firefox on Windows". It need not be exact; nothing is
// decided by it alone.
func deviceOf(agent string) string {
	first := func(names ...string) string {
		for i := 0; i < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	// The order matters: nearly every browser also claims to be one of those after it.
	browser := first("Edg", "Edge", "OPR/", "Opera", "SamsungBrowser", "Samsung Internet", "Firefox", "Firefox", "FxiOS", "Firefox",
		"CriOS", "Chrome", "Chrome", "Chrome", "Safari", "Safari", "curl/", "curl", "Go-http-client", "a Go program", "python", "a Python program")
	system := first("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "CrOS", "ChromeOS",
		"Mac OS X", "macOS", "Linux", "Linux")
	switch {
	case browser == "" && system == "":
		return unknownBrowser
	case system == "":
		return browser
	case browser == "":
		return unknownBrowser + " on " + system
	}
	return browser + " on " + system
}

// placeOf is what makes a device known: browser and system in one network, so that a new version of the browser or a
// new lease of the address is no new device.
func placeOf(userID, ip, agent string) string {
	network := ip
	if a, err := netip.ParseAddr(ip); err == nil {
		a = a.Unmap()
		bits := knownPrefixV4
		if a.Is6() {
			bits = knownPrefixV6
		}
		if p, err := a.Prefix(bits); err == nil {
			network = p.String()
		}
	}
	return hashSecret(userID + "\n" + network + "\n" + deviceOf(agent))
}

// isKnown reports whether the person has signed in from there before.
func isKnown(ctx context.Context, tx *db.Tx, userID, place string) (bool, error) {
	return tx.NewSelect().Model((*deviceRow)(nil)).Where("user_id = ? AND hash = ?", userID, place).Exists(ctx)
}

// noteDevice remembers where a person signed in from. It reports whether the place is a new one for somebody who has
// been elsewhere before: the first place of all is no surprise to them.
func (s *Service) noteDevice(ctx context.Context, tx *db.Tx, userID, place string) (surprising bool, err error) {
	now := s.cfg.Clock.Now().UnixMilli()
	known, err := isKnown(ctx, tx, userID, place)
	if err != nil {
		return false, err
	}
	if known {
		_, err := tx.NewUpdate().Model((*deviceRow)(nil)).Set("last_used_at = ?", now).Where("user_id = ? AND hash = ?", userID, place).Exec(ctx)
		return false, err
	}
	n, err := tx.NewSelect().Model((*deviceRow)(nil)).Where("user_id = ?", userID).Count(ctx)
	if err != nil {
		return false, err
	}
	if n >= knownPerUser {
		oldest := tx.NewSelect().Model((*deviceRow)(nil)).Column("hash").Where("user_id = ?", userID).Order("last_used_at", "hash").Limit(1)
		if _, err := tx.NewDelete().Model((*deviceRow)(nil)).Where("user_id = ? AND hash IN (?)", userID, oldest).Exec(ctx); err != nil {
			return false, err
		}
	}
	_, err = tx.NewInsert().Model(&deviceRow{UserID: userID, Hash: place, CreatedAt: now, LastUsedAt: now}).Exec(ctx)
	return n > 0, err
}
