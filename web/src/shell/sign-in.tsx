import { useMutation } from "@tanstack/react-query";
import { Navigate, useRouter, useSearch } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { isSignedIn, signIn } from "../api/session";
import { Button } from "../ui/button";
import { Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { Logo } from "./logo";
import { SingleSignOn } from "./single-sign-on";

/** The card on an empty page where somebody becomes somebody. */
export function DoorPage({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="flex min-h-dvh flex-col items-center justify-center px-4 py-10">
      <title>{`${title} - Headwater`}</title>
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center gap-2.5">
          <Logo className="size-8" />
          <span className="text-lg font-semibold tracking-tight">Headwater</span>
        </div>
        <div className="rounded-xl border bg-panel p-6">
          <h1 className="mb-4 text-lg font-semibold">{title}</h1>
          {children}
        </div>
        <p className="mt-4 text-center text-[13px] text-faint">
          <a href="/docs" className="underline underline-offset-2 hover:text-ink">
            API reference
          </a>
        </p>
      </div>
    </main>
  );
}

export function SignIn() {
  const { to, provider } = useSearch({ from: "/sign-in" });
  const router = useRouter();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const target = to ?? "/";
  const enter = useMutation({
    mutationFn: () => signIn(email, password),
    onSuccess: () => router.history.push(target),
  });
  if (isSignedIn() && !enter.isSuccess) return <Navigate to={target} replace />;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    enter.mutate();
  };
  return (
    <DoorPage title="Sign in">
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Email">
          <Input
            type="text"
            inputMode="email"
            autoComplete="username"
            required
            autoFocus
            value={email}
            onChange={(event) => setEmail(event.target.value)}
          />
        </Field>
        <Field label="Password">
          <Input
            type="password"
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </Field>
        {enter.isError && <ProblemNote error={enter.error} />}
        <Button type="submit" variant="primary" busy={enter.isPending} className="w-full">
          Sign in
        </Button>
      </form>
      <SingleSignOn provider={provider} target={target} />
    </DoorPage>
  );
}
