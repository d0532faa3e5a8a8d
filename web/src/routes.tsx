import { Anchor, Loader } from "@mantine/core";
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  Link,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { ApiError } from "./api/client";
import type { Account } from "./api/types";
import { CampaignsPage } from "./features/campaign/CampaignsPage";
import { readStep, type StepId } from "./features/campaign/draft";
import { type CampaignFilters, readCampaignFilters } from "./features/campaign/filters";
import { type AuditFilters, readAuditFilters } from "./features/compliance/filters";
import { CallsPage } from "./features/conversation/CallsPage";
import { type CallFilters, readFilters } from "./features/conversation/filters";
import { meQuery } from "./features/identity/api";
import { Reach, reach } from "./features/identity/permissions";
import { SettingsLayout, SettingsStart, SuperLayout } from "./features/identity/SettingsLayout";
import { SetupPage } from "./features/identity/SetupPage";
import { SignInPage } from "./features/identity/SignInPage";
import { ModelsPage } from "./features/model/ModelsPage";
import { OverviewPage } from "./features/overview/OverviewPage";
import { PhonesPage } from "./features/telephony/PhonesPage";
import type { Feed } from "./realtime/client";
import { places } from "./shell/places";
import { Shell } from "./shell/Shell";
import { Empty, Failed } from "./ui/states";

type Context = { queries: QueryClient; feed: Feed };

const root = createRootRouteWithContext<Context>()({
  component: Outlet,
  errorComponent: ({ error, reset }) => <Failed error={error} retry={reset} />,
  notFoundComponent: () => (
    <Empty
      title="There is no such page"
      text="The address may be mistyped, or what it showed was deleted."
      action={
        <Anchor component={Link} to="/">
          Go to the overview
        </Anchor>
      }
    />
  ),
});

const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: SetupPage,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (s: Record<string, unknown>): { next?: string; ended?: boolean } => ({
    ...(typeof s.next === "string" ? { next: s.next } : {}),
    ...(s.ended ? { ended: true } : {}),
  }),
  component: SignInPage,
});

const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitation",
  component: lazyRouteComponent(() => import("./features/identity/InvitationPage"), "InvitationPage"),
});
const forgotten = createRoute({
  getParentRoute: () => root,
  path: "/forgot-password",
  component: lazyRouteComponent(() => import("./features/identity/ResetPages"), "ForgotPage"),
});
const reset = createRoute({
  getParentRoute: () => root,
  path: "/reset-password",
  component: lazyRouteComponent(() => import("./features/identity/ResetPages"), "ResetPage"),
});

const trySignOn = createRoute({
  getParentRoute: () => root,
  path: "/try-sign-on",
  component: lazyRouteComponent(() => import("./features/identity/TrySignOnPage"), "TrySignOnPage"),
});

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  beforeLoad: async ({ context, location }) => {
    let me: Account;
    try {
      me = await context.queries.ensureQueryData(meQuery);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { next: location.href } });
      }
      throw error;
    }
    if (me.step === "enrol") {
      // The organisation asks for a second factor, and the server allows nothing else before there is one.
      if (location.pathname !== "/account") throw redirect({ to: "/account" });
      return;
    }
    if (reach(me.permissions, "call:read") > Reach.None) context.feed.start(); // it tells of calls
  },
  component: Shell,
});

const overview = createRoute({
  getParentRoute: () => app,
  path: "/",
  beforeLoad: ({ context }) => {
    const me = context.queries.getQueryData(meQuery.queryKey);
    const first = places.find((p) => p.opens.some((o) => reach(me?.permissions ?? [], o) > Reach.None));
    if (first && first.to !== "/") throw redirect({ to: first.to });
  },
  component: OverviewPage,
});
const calls = createRoute({
  getParentRoute: () => app,
  path: "/calls",
  validateSearch: (s: Record<string, unknown>): CallFilters => readFilters(s),
  component: CallsPage,
});
const call = createRoute({
  getParentRoute: () => app,
  path: "/calls/$callId",
  validateSearch: (s: Record<string, unknown>): { tab?: string } => (typeof s.tab === "string" ? { tab: s.tab } : {}),
  component: lazyRouteComponent(() => import("./features/conversation/CallPage"), "CallPage"),
});
const agents = createRoute({
  getParentRoute: () => app,
  path: "/agents",
  component: lazyRouteComponent(() => import("./features/agent/AgentsPage"), "AgentsPage"),
});
const agent = createRoute({
  getParentRoute: () => app,
  path: "/agents/$agentId",
  validateSearch: (s: Record<string, unknown>): { tab?: string; talk?: boolean } => ({
    ...(typeof s.tab === "string" ? { tab: s.tab } : {}),
    ...(s.talk ? { talk: true } : {}),
  }),
  component: lazyRouteComponent(() => import("./features/agent/AgentPage"), "AgentPage"),
});
const models = createRoute({ getParentRoute: () => app, path: "/models", component: ModelsPage });
const phones = createRoute({ getParentRoute: () => app, path: "/phones", component: PhonesPage });
const trunks = createRoute({
  getParentRoute: () => app,
  path: "/trunks",
  component: lazyRouteComponent(() => import("./features/telephony/TrunksPage"), "TrunksPage"),
});
const campaigns = createRoute({
  getParentRoute: () => app,
  path: "/campaigns",
  validateSearch: (s: Record<string, unknown>): CampaignFilters => readCampaignFilters(s),
  component: CampaignsPage,
});
const campaign = createRoute({
  getParentRoute: () => app,
  path: "/campaigns/$campaignId",
  component: lazyRouteComponent(() => import("./features/campaign/CockpitPage"), "CockpitPage"),
});
const campaignPeople = createRoute({
  getParentRoute: () => app,
  path: "/campaigns/$campaignId/people",
  component: lazyRouteComponent(() => import("./features/campaign/LeadsPage"), "LeadsPage"),
});
const campaignEdit = createRoute({
  getParentRoute: () => app,
  path: "/campaigns/$campaignId/edit",
  validateSearch: (s: Record<string, unknown>): { step?: StepId } => {
    const step = readStep(s.step);
    return step ? { step } : {};
  },
  component: lazyRouteComponent(() => import("./features/campaign/BuilderPage"), "BuilderPage"),
});
const account = createRoute({
  getParentRoute: () => app,
  path: "/account",
  component: lazyRouteComponent(() => import("./features/identity/AccountPage"), "AccountPage"),
});

const settings = createRoute({ getParentRoute: () => app, path: "/settings", component: SettingsLayout });
const settingsStart = createRoute({ getParentRoute: () => settings, path: "/", component: SettingsStart });
const organisation = createRoute({
  getParentRoute: () => settings,
  path: "organisation",
  component: lazyRouteComponent(() => import("./features/identity/OrganisationPage"), "OrganisationPage"),
});
const people = createRoute({
  getParentRoute: () => settings,
  path: "people",
  component: lazyRouteComponent(() => import("./features/identity/PeoplePage"), "PeoplePage"),
});
const teams = createRoute({
  getParentRoute: () => settings,
  path: "teams",
  component: lazyRouteComponent(() => import("./features/identity/TeamsPage"), "TeamsPage"),
});
const roles = createRoute({
  getParentRoute: () => settings,
  path: "roles",
  component: lazyRouteComponent(() => import("./features/identity/RolesPage"), "RolesPage"),
});
const security = createRoute({
  getParentRoute: () => settings,
  path: "security",
  component: lazyRouteComponent(() => import("./features/identity/SecurityPage"), "SecurityPage"),
});
const sso = createRoute({
  getParentRoute: () => settings,
  path: "sso",
  component: lazyRouteComponent(() => import("./features/identity/SsoPage"), "SsoPage"),
});
const tokens = createRoute({
  getParentRoute: () => settings,
  path: "tokens",
  component: lazyRouteComponent(() => import("./features/identity/TokensPage"), "TokensPage"),
});
const secrets = createRoute({
  getParentRoute: () => settings,
  path: "secrets",
  component: lazyRouteComponent(() => import("./features/identity/SecretsPage"), "SecretsPage"),
});
const limits = createRoute({
  getParentRoute: () => settings,
  path: "limits",
  component: lazyRouteComponent(() => import("./features/identity/LimitsPage"), "LimitsPage"),
});
const audit = createRoute({
  getParentRoute: () => settings,
  path: "audit",
  validateSearch: (s: Record<string, unknown>): AuditFilters => readAuditFilters(s),
  component: lazyRouteComponent(() => import("./features/compliance/AuditPage"), "AuditPage"),
});
const retention = createRoute({
  getParentRoute: () => settings,
  path: "retention",
  component: lazyRouteComponent(() => import("./features/compliance/RetentionPage"), "RetentionPage"),
});
const consents = createRoute({
  getParentRoute: () => settings,
  path: "consents",
  component: lazyRouteComponent(() => import("./features/compliance/ConsentsPage"), "ConsentsPage"),
});
const doNotCall = createRoute({
  getParentRoute: () => settings,
  path: "do-not-call",
  component: lazyRouteComponent(() => import("./features/campaign/DoNotCallPage"), "DoNotCallPage"),
});
const whyCalled = createRoute({
  getParentRoute: () => settings,
  path: "why",
  component: lazyRouteComponent(() => import("./features/campaign/WhyPage"), "WhyPage"),
});
const projects = createRoute({
  getParentRoute: () => settings,
  path: "projects",
  component: lazyRouteComponent(() => import("./features/identity/ProjectsPage"), "ProjectsPage"),
});

const installation = createRoute({ getParentRoute: () => app, path: "/super", component: SuperLayout });
const superStart = createRoute({
  getParentRoute: () => installation,
  path: "/",
  component: lazyRouteComponent(() => import("./features/identity/SuperPage"), "SuperPage"),
});
const superPlans = createRoute({
  getParentRoute: () => installation,
  path: "plans",
  component: lazyRouteComponent(() => import("./features/identity/Plans"), "PlansPage"),
});
const superInstances = createRoute({
  getParentRoute: () => installation,
  path: "instances",
  component: lazyRouteComponent(() => import("./features/identity/InstancesPage"), "InstancesPage"),
});
const superAdmins = createRoute({
  getParentRoute: () => installation,
  path: "admins",
  component: lazyRouteComponent(() => import("./features/identity/SuperAdminsPage"), "SuperAdminsPage"),
});
const superLog = createRoute({
  getParentRoute: () => installation,
  path: "log",
  validateSearch: (s: Record<string, unknown>): AuditFilters => readAuditFilters(s),
  component: lazyRouteComponent(() => import("./features/compliance/PlatformLogPage"), "PlatformLogPage"),
});
const superOrganisation = createRoute({
  getParentRoute: () => installation,
  path: "$organisationId",
  component: lazyRouteComponent(() => import("./features/identity/SuperOrganisationPage"), "SuperOrganisationPage"),
});

const tree = root.addChildren([
  setup,
  signIn,
  invitation,
  forgotten,
  reset,
  trySignOn,
  app.addChildren([
    overview,
    calls,
    call,
    agents,
    agent,
    models,
    phones,
    trunks,
    campaigns,
    campaign,
    campaignPeople,
    campaignEdit,
    account,
    settings.addChildren([
      settingsStart,
      organisation,
      people,
      teams,
      roles,
      security,
      sso,
      tokens,
      secrets,
      limits,
      audit,
      retention,
      consents,
      doNotCall,
      whyCalled,
      projects,
    ]),
    installation.addChildren([superStart, superPlans, superInstances, superAdmins, superLog, superOrganisation]),
  ]),
]);

export function makeRouter(queries: QueryClient, feed: Feed) {
  return createRouter({
    routeTree: tree,
    context: { queries, feed },
    defaultPendingComponent: () => <Loader m="xl" aria-label="Loading" />,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
