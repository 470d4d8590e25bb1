import { Outlet, useRouterState } from "@tanstack/react-router";
import { Menu as MenuIcon, Search } from "lucide-react";
import { Dialog } from "radix-ui";
import { lazy, Suspense, useEffect, useState } from "react";
import { IconButton } from "../ui/button";
import { Logo } from "./logo";
import { Sidebar } from "./sidebar";

const Palette = lazy(() => import("./palette"));

export function Shell() {
  const [searching, setSearching] = useState(false);
  const [drawer, setDrawer] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => setDrawer(false), [path]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      setSearching((open) => !open);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const search = () => setSearching(true);
  return (
    <div className="flex h-dvh flex-col lg:flex-row">
      <a href="#main" className="sr-only z-50 rounded-md bg-panel px-3 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2">
        Skip to content
      </a>
      <aside className="hidden w-60 shrink-0 border-r bg-panel lg:block">
        <Sidebar onSearch={search} />
      </aside>
      <header className="flex h-12 shrink-0 items-center gap-2 border-b bg-panel px-2 lg:hidden">
        <Dialog.Root open={drawer} onOpenChange={setDrawer}>
          <Dialog.Trigger asChild>
            <IconButton label="Menu">
              <MenuIcon className="size-5" />
            </IconButton>
          </Dialog.Trigger>
          <Dialog.Portal>
            <Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
            <Dialog.Content aria-describedby={undefined} className="fixed inset-y-0 left-0 z-50 w-64 border-r bg-panel">
              <Dialog.Title className="sr-only">Menu</Dialog.Title>
              <Sidebar onSearch={search} />
            </Dialog.Content>
          </Dialog.Portal>
        </Dialog.Root>
        <Logo className="size-6" />
        <span className="flex-1 font-semibold tracking-tight">Headwater</span>
        <IconButton label="Search" onClick={search}>
          <Search className="size-5" />
        </IconButton>
      </header>
      <main id="main" tabIndex={-1} className="min-h-0 min-w-0 flex-1 overflow-y-auto outline-none">
        <Suspense fallback={null}>
          <Outlet />
        </Suspense>
      </main>
      {searching && (
        <Suspense fallback={null}>
          <Palette onClose={() => setSearching(false)} />
        </Suspense>
      )}
    </div>
  );
}
