import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, ifMatch, type Tagged, unwrap, unwrapTagged } from "../../api/client";
import type { Account } from "../../api/types";
import { mfaQuery } from "./api";
import { proving } from "./Prove";
import { makePasskey } from "./passkeys";

export const useMFA = () => useQuery(mfaQuery);

/** A change of one's own sign-on, after which who one is and what guards it are read again. */
function useOwnChange<In, Out>(change: (input: In) => Promise<Out>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (input: In) => proving(() => change(input)),
    onSuccess: () =>
      Promise.all(["mfa", "me", "sessions", "own-links"].map((key) => queries.invalidateQueries({ queryKey: [key] }))),
  });
}

export const useBeginTOTP = () =>
  useMutation({ mutationFn: () => proving(() => unwrap(client.POST("/api/v1/me/mfa/totp"))) });

export const useFinishTOTP = () =>
  useOwnChange((body: { challenge: string; code: string }) =>
    unwrap(client.POST("/api/v1/me/mfa/totp/confirm", { body })),
  );

export const useRemoveTOTP = () => useOwnChange(() => unwrap(client.DELETE("/api/v1/me/mfa/totp")));

export const useNewRecoveryCodes = () => useOwnChange(() => unwrap(client.POST("/api/v1/me/mfa/recovery-codes")));

export const useAddPasskey = () =>
  useOwnChange(async (name: string) => {
    const { challenge, options } = await unwrap(client.POST("/api/v1/me/passkeys/options"));
    const credential = await makePasskey(options);
    return unwrap(client.POST("/api/v1/me/passkeys", { body: { challenge, credential, ...(name ? { name } : {}) } }));
  });

export const useRenamePasskey = () =>
  useOwnChange(({ id, name }: { id: string; name: string }) =>
    unwrap(client.PATCH("/api/v1/me/passkeys/{id}", { params: { path: { id } }, body: { name } })),
  );

export const useRemovePasskey = () =>
  useOwnChange((id: string) => unwrap(client.DELETE("/api/v1/me/passkeys/{id}", { params: { path: { id } } })));

export const readMe = async (signal?: AbortSignal) =>
  (await unwrapTagged(client.GET("/api/v1/me", { signal }))) as Tagged<Account>;

export const useChangeName = () =>
  useOwnChange(({ tag, name }: { tag: string; name: string }) =>
    unwrap(client.PATCH("/api/v1/me", { params: { header: ifMatch(tag) }, body: { name } })),
  );

export const useOwnLinks = () =>
  useQuery({
    queryKey: ["own-links"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/me/sso-links", { signal })),
  });

export const useForgetLink = () =>
  useOwnChange((connectionId: string) =>
    unwrap(client.DELETE("/api/v1/me/sso-links/{connectionId}", { params: { path: { connectionId } } })),
  );

export const useChangePassword = () =>
  useOwnChange((body: { currentPassword: string; password: string }) =>
    unwrap(client.POST("/api/v1/me/password", { body })),
  );

export const useSessions = () =>
  useQuery({ queryKey: ["sessions"], queryFn: ({ signal }) => unwrap(client.GET("/api/v1/me/sessions", { signal })) });

export const useRevokeSession = () =>
  useOwnChange((id: string) => unwrap(client.DELETE("/api/v1/me/sessions/{id}", { params: { path: { id } } })));

export const useRevokeOthers = () => useOwnChange(() => unwrap(client.POST("/api/v1/me/sessions/revoke-others")));
