package app

import (
	"context"
	"net/netip"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/telephony"
)

// newPhones makes what keeps phones, trunks and caller numbers.
func (a *App) newPhones() *telephony.Service {
	return telephony.New(telephony.Config{
		DB: a.db, Sealer: a.keyring.Box(telephony.SealPurpose), Realm: a.cfg.SIPDomain, NoMD5: a.cfg.Strict, Clock: a.clock, Log: a.log, Quota: a.phoneQuota, Standing: a.standing, Assignable: a.assignable, Server: a.phoneServer,
		Registrations: func() telephony.Registrations {
			if a.sip == nil {
				return nil
			}
			return a.sip
		},
		Forgotten: a.forgetPhone,
		Permit: func(ctx context.Context, orgID string) func(string, netip.Addr) error {
			return a.outbound.dialer(ctx, orgID).Permits
		},
		TrunkStates: func(orgID string) []event.TrunkState { return a.trunkNews.of(orgID) },
		Signalling: func() telephony.Signalling {
			if a.sip == nil {
				return nil
			}
			return a.sip
		},
	})
}
