import type { Connection, NewConnection } from "./ssoApi";

/** The fields of the form for a connection, as a person fills them in. */
export type SsoFields = ReturnType<typeof toFields>;

export const toFields = (c?: Connection) => ({
  name: c?.name ?? "",
  protocol: c?.protocol ?? ("oidc" as const),
  issuer: c?.oidc?.issuer ?? "",
  clientId: c?.oidc?.clientId ?? "",
  clientSecret: "",
  emailClaim: c?.oidc?.emailClaim ?? "",
  scopes: c?.oidc?.scopes ?? [],
  metadataUrl: c?.saml?.metadataUrl ?? "",
  metadata: c?.saml?.metadataUrl ? "" : (c?.saml?.metadata ?? ""),
  emailAttribute: c?.saml?.emailAttribute ?? "",
  idpInitiated: c?.saml?.idpInitiated ?? false,
  roleClaim: c?.roleClaim ?? "",
  rules: (c?.roles ?? []).map((r) => `${r.group} = ${r.role}`).join("\n"),
  defaultRole: c?.defaultRole ?? "viewer",
  justInTime: c?.justInTime ?? false,
  owners: c?.owners ?? false,
  secondFactor: c?.secondFactor ?? false,
  factorContexts: c?.factorContexts ?? [],
  longestSessionHours: (c?.longestSessionHours || "") as number | "",
});

/** What the form says, as the API takes it. Only owners say whether owners may use the connection. */
export function fromFields(v: SsoFields, owner: boolean): NewConnection {
  const body: NewConnection = {
    name: v.name.trim(),
    protocol: v.protocol,
    roleClaim: v.roleClaim.trim(),
    defaultRole: v.defaultRole,
    justInTime: v.justInTime,
    secondFactor: v.secondFactor,
    factorContexts: v.factorContexts,
    longestSessionHours: Number(v.longestSessionHours) || 0,
    roles: lines(v.rules).map((l) => {
      const at = l.lastIndexOf("=");
      return { group: l.slice(0, at).trim(), role: l.slice(at + 1).trim() };
    }),
  };
  if (owner) body.owners = v.owners;
  if (v.protocol === "oidc") {
    body.oidc = {
      issuer: v.issuer.trim(),
      clientId: v.clientId.trim(),
      scopes: v.scopes,
      emailClaim: v.emailClaim.trim(),
    };
    if (v.clientSecret) body.clientSecret = v.clientSecret;
  } else {
    body.saml = {
      metadataUrl: v.metadataUrl.trim(),
      metadata: v.metadataUrl.trim() ? "" : v.metadata.trim(),
      emailAttribute: v.emailAttribute.trim(),
      idpInitiated: v.idpInitiated,
    } as NonNullable<NewConnection["saml"]>;
  }
  return body;
}

/** The part of a connection that a body overwrites, as it then is: without secrets, and with what the server adds. */
export function overwritten({ clientSecret: _, oidc, saml, ...rest }: NewConnection, c: Connection) {
  const kept = saml?.metadataUrl && saml.metadataUrl === c.saml?.metadataUrl;
  return {
    ...rest,
    ...(oidc && { oidc }),
    ...(saml && { saml: { ...c.saml, ...saml, ...(kept && { metadata: c.saml?.metadata }) } }),
  } as Partial<Connection>;
}

export const lines = (text: string) =>
  text
    .split("\n")
    .map((l) => l.trim())
    .filter(Boolean);
