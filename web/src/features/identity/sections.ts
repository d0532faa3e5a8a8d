/** The sections of the settings, and the permission that opens each. */
export const sections = [
  { to: "/settings/organisation", label: "Organisation", permission: "organisation:read" },
  { to: "/settings/people", label: "People", permission: "member:read" },
  { to: "/settings/teams", label: "Teams", permission: "team:read" },
  { to: "/settings/projects", label: "Projects", permission: "project:read" },
  { to: "/settings/roles", label: "Roles", permission: "role:read" },
  { to: "/settings/security", label: "Security", permission: "organisation:read" },
  { to: "/settings/sso", label: "Single sign-on", permission: "sso:read" },
  { to: "/settings/tokens", label: "API tokens", permission: "token:read" },
  { to: "/settings/secrets", label: "Secrets", permission: "secret:read" },
  { to: "/settings/limits", label: "Limits and use", permission: "limit:read" },
  { to: "/settings/audit", label: "Audit trail", permission: "audit:read" },
  { to: "/settings/retention", label: "Retention", permission: "retention:read" },
  { to: "/settings/consents", label: "Consents", permission: "consent:read" },
  { to: "/settings/do-not-call", label: "Do not call", permission: "donotcall:read" },
  { to: "/settings/why", label: "Why called", permission: "campaign:read" },
] as const;

/** The sections of the installation, for super-admins. */
export const superSections = [
  { to: "/super", label: "Organisations", exact: true },
  { to: "/super/plans", label: "Plans" },
  { to: "/super/instances", label: "Processes" },
  { to: "/super/admins", label: "Super-admins" },
  { to: "/super/log", label: "Platform log" },
] as const;
