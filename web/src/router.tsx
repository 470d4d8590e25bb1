import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { isSignedIn } from "./api/session";
import { readTopicsSearch } from "./topics/topics-search";
import { isRecordId, readRecordsSearch } from "./records/records-search";
import { readAuditSearch } from "./organization/audit-search";
import { Root, RouteFault, NotFound } from "./shell/root";
import { Shell } from "./shell/shell";
import { SignIn } from "./shell/sign-in";
import { Home } from "./shell/home";

const root = createRootRoute({ component: Root });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: ({ to, provider }: Record<string, unknown>): { to?: string; provider?: string } => ({
    // Only a path of this console: a link must not be able to send people elsewhere.
    to: typeof to === "string" && /^\/(?![/\\])/.test(to) ? to : undefined,
    provider: typeof provider === "string" ? provider : undefined,
  }),
  component: SignIn,
});

const join = createRoute({
  getParentRoute: () => root,
  path: "/join",
  component: lazyRouteComponent(() => import("./shell/join"), "Join"),
});

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  component: Shell,
  beforeLoad: ({ location }) => {
    if (!isSignedIn())
      throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { to: location.href } });
  },
});

const home = createRoute({ getParentRoute: () => app, path: "/", component: Home });

const project = createRoute({ getParentRoute: () => app, path: "/p/$project" });
const overview = createRoute({
  getParentRoute: () => project,
  path: "/",
  component: lazyRouteComponent(() => import("./overview/overview"), "Overview"),
});
const topics = createRoute({
  getParentRoute: () => project,
  path: "/topics",
  validateSearch: readTopicsSearch,
  component: lazyRouteComponent(() => import("./topics/topics"), "Topics"),
});
const topic = createRoute({
  getParentRoute: () => project,
  path: "/topics/$topic",
  component: lazyRouteComponent(() => import("./topics/topic"), "TopicPage"),
});
const records = createRoute({
  getParentRoute: () => topic,
  path: "/",
  validateSearch: readRecordsSearch,
  component: lazyRouteComponent(() => import("./records/records"), "Records"),
});
const topicOverview = createRoute({
  getParentRoute: () => topic,
  path: "/throughput",
  component: lazyRouteComponent(() => import("./topics/throughput"), "TopicThroughput"),
});
const partitions = createRoute({
  getParentRoute: () => topic,
  path: "/partitions",
  component: lazyRouteComponent(() => import("./topics/partitions"), "Partitions"),
});
const settings = createRoute({
  getParentRoute: () => topic,
  path: "/settings",
  component: lazyRouteComponent(() => import("./topics/settings"), "TopicSettings"),
});
const groups = createRoute({
  getParentRoute: () => project,
  path: "/groups",
  component: lazyRouteComponent(() => import("./groups/groups"), "Groups"),
});
const group = createRoute({
  getParentRoute: () => project,
  path: "/groups/$group",
  validateSearch: ({ letter }: Record<string, unknown>): { letter?: string } =>
    isRecordId(letter) ? { letter } : {},
  component: lazyRouteComponent(() => import("./groups/group"), "GroupPage"),
});
const keys = createRoute({
  getParentRoute: () => project,
  path: "/keys",
  component: lazyRouteComponent(() => import("./keys/keys"), "Keys"),
});

const organization = createRoute({ getParentRoute: () => app, path: "/o/$organization" });
const members = createRoute({
  getParentRoute: () => organization,
  path: "/members",
  component: lazyRouteComponent(() => import("./organization/members"), "Members"),
});
const issuers = createRoute({
  getParentRoute: () => organization,
  path: "/issuers",
  component: lazyRouteComponent(() => import("./organization/issuers"), "Issuers"),
});
const usage = createRoute({
  getParentRoute: () => organization,
  path: "/usage",
  component: lazyRouteComponent(() => import("./organization/usage"), "UsagePage"),
});
const audit = createRoute({
  getParentRoute: () => organization,
  path: "/audit",
  validateSearch: readAuditSearch,
  component: lazyRouteComponent(() => import("./organization/audit"), "Audit"),
});
const projects = createRoute({
  getParentRoute: () => organization,
  path: "/projects",
  component: lazyRouteComponent(() => import("./organization/projects"), "Projects"),
});

const cluster = createRoute({
  getParentRoute: () => app,
  path: "/cluster",
  component: lazyRouteComponent(() => import("./cluster/cluster"), "ClusterPage"),
});
const profile = createRoute({
  getParentRoute: () => app,
  path: "/profile",
  component: lazyRouteComponent(() => import("./profile/profile"), "Profile"),
});

const routeTree = root.addChildren([
  signIn,
  join,
  app.addChildren([
    home,
    project.addChildren([
      overview,
      topics,
      topic.addChildren([records, topicOverview, partitions, settings]),
      groups,
      group,
      keys,
    ]),
    organization.addChildren([members, issuers, usage, audit, projects]),
    cluster,
    profile,
  ]),
]);

export const router = createRouter({
  routeTree,
  defaultPreload: "intent",
  defaultErrorComponent: RouteFault,
  defaultNotFoundComponent: NotFound,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
