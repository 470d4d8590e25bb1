import { Link, useNavigate } from "@tanstack/react-router";
import {
  Check,
  ChevronsUpDown,
  CircleUser,
  LogOut,
  Monitor,
  Moon,
  Plus,
  Search,
  Sun,
  User,
} from "lucide-react";
import { useState } from "react";
import { signOut } from "../api/session";
import { chooseTheme, chosenTheme, type Theme } from "../lib/theme";
import { CreateOrganization } from "../organization/create";
import { Menu, MenuItem, MenuLabel, MenuSeparator } from "../ui/menu";
import { toastProblem } from "../ui/toast";
import { useHere } from "./here";
import { Logo } from "./logo";
import { placesOf } from "./navigation";

const ROW =
  "flex w-full items-center gap-2.5 rounded-md px-2.5 py-1.5 text-left text-soft hover:bg-sunken hover:text-ink";

export function Sidebar({ onSearch }: { onSearch: () => void }) {
  const here = useHere();
  const [creating, setCreating] = useState(false);
  return (
    <div className="flex h-full flex-col gap-3 overflow-y-auto p-3">
      <div className="flex items-center gap-2.5 px-1.5 pt-1">
        <Logo className="size-7" />
        <span className="text-[15px] font-semibold tracking-tight">Headwater</span>
      </div>
      <Switcher onCreate={() => setCreating(true)} />
      <button type="button" onClick={onSearch} className={`${ROW} border border-line text-faint`}>
        <Search className="size-4" aria-hidden />
        <span className="flex-1">Search</span>
        <kbd className="rounded border px-1 font-sans text-[11px]">Ctrl K</kbd>
      </button>
      <nav aria-label="Main" className="flex flex-1 flex-col gap-4">
        {placesOf(here).map((group) => (
          <div key={group.name}>
            <p className="mb-1 px-2.5 text-[12px] font-medium text-faint">{group.name}</p>
            <ul className="flex flex-col gap-0.5">
              {group.places.map(({ name, icon: Icon, link, exact }) => (
                <li key={name}>
                  <Link
                    {...link}
                    className={ROW}
                    activeOptions={{ exact: exact ?? false, includeSearch: false }}
                    activeProps={{
                      className: "!bg-accent-wash !text-accent-ink font-medium",
                      "aria-current": "page",
                    }}
                  >
                    <Icon className="size-4 shrink-0" aria-hidden />
                    {name}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      <Account email={here.me?.email} />
      {creating && <CreateOrganization onClose={() => setCreating(false)} />}
    </div>
  );
}

function Switcher({ onCreate }: { onCreate: () => void }) {
  const { me, project, organization } = useHere();
  const navigate = useNavigate();
  const trigger = (
    <button
      type="button"
      className="flex min-h-12 w-full items-center gap-2 rounded-lg border bg-page px-2.5 py-1.5 text-left hover:bg-sunken"
    >
      <span className="min-w-0 flex-1">
        <span className="block truncate font-medium">{project?.name ?? organization?.name ?? "…"}</span>
        <span className="block truncate text-[12px] text-faint">
          {project ? organization?.name : "Organization"}
        </span>
      </span>
      <ChevronsUpDown className="size-4 shrink-0 text-faint" aria-hidden />
      <span className="sr-only">Switch project</span>
    </button>
  );
  return (
    <Menu trigger={trigger}>
      {me?.organizations.map((one) => (
        <div key={one.id}>
          <MenuLabel>
            {one.name} · {one.role}
          </MenuLabel>
          {me.projects
            .filter((candidate) => candidate.organization === one.id)
            .map((candidate) => (
              <MenuItem
                key={candidate.id}
                icon={
                  <Check
                    className={`size-4 ${candidate.id === project?.id ? "" : "invisible"}`}
                    aria-hidden
                  />
                }
                onSelect={() => void navigate({ to: "/p/$project", params: { project: candidate.id } })}
              >
                {candidate.name}
              </MenuItem>
            ))}
          <MenuItem
            icon={<span className="size-4" />}
            onSelect={() =>
              void navigate({ to: "/o/$organization/projects", params: { organization: one.id } })
            }
          >
            <span className="text-soft">All projects</span>
          </MenuItem>
        </div>
      ))}
      <MenuSeparator />
      <MenuItem icon={<Plus className="size-4" />} onSelect={onCreate}>
        Create organization
      </MenuItem>
    </Menu>
  );
}

const THEMES: [Theme, string, typeof Sun][] = [
  ["system", "As the system", Monitor],
  ["light", "Light", Sun],
  ["dark", "Dark", Moon],
];

function Account({ email }: { email: string | undefined }) {
  const navigate = useNavigate();
  const [theme, setTheme] = useState(chosenTheme);
  const choose = (next: Theme) => {
    chooseTheme(next);
    setTheme(next);
  };
  const trigger = (
    <button type="button" className={ROW}>
      <CircleUser className="size-4 shrink-0" aria-hidden />
      <span className="min-w-0 flex-1 truncate">{email ?? "Account"}</span>
      <ChevronsUpDown className="size-4 shrink-0 text-faint" aria-hidden />
    </button>
  );
  return (
    <Menu trigger={trigger} side="top">
      <MenuItem icon={<User className="size-4" />} onSelect={() => void navigate({ to: "/profile" })}>
        Profile
      </MenuItem>
      <MenuSeparator />
      <MenuLabel>Theme</MenuLabel>
      {THEMES.map(([value, name, Icon]) => (
        <MenuItem key={value} icon={<Icon className="size-4" />} onSelect={() => choose(value)}>
          <span className="flex-1">{name}</span>
          {theme === value && <Check className="size-4" aria-label="chosen" />}
        </MenuItem>
      ))}
      <MenuSeparator />
      <MenuItem icon={<LogOut className="size-4" />} onSelect={() => void signOut().catch(toastProblem)}>
        Sign out
      </MenuItem>
    </Menu>
  );
}
