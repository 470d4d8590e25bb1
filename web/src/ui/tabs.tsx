import { Link, type LinkProps } from "@tanstack/react-router";

/** Pages of one thing, as links: each has its own address. */
export function TabLinks({ label, tabs }: { label: string; tabs: ({ name: string } & LinkProps)[] }) {
  return (
    <nav aria-label={label} className="mb-4 flex gap-1 overflow-x-auto border-b">
      {tabs.map(({ name, ...link }) => (
        <Link
          key={name}
          {...link}
          activeOptions={{ exact: true, includeSearch: false }}
          className="-mb-px border-b-2 border-transparent px-3 py-2 whitespace-nowrap text-soft hover:text-ink"
          activeProps={{ className: "!border-accent !text-ink font-medium" }}
        >
          {name}
        </Link>
      ))}
    </nav>
  );
}
