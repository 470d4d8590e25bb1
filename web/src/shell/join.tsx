import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { management, ok } from "../api/client";
import { Button, buttonClass } from "../ui/button";
import { Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { DoorPage } from "./sign-in";

/**
 * The invitation's token comes after the `#`, which browsers send to nobody, and leaves the address as
 * soon as it is read.
 */
function takeToken(): string {
  const token = window.location.hash.slice(1);
  if (token) window.history.replaceState(window.history.state, "", "/join");
  return token;
}

export function Join() {
  const [token, setToken] = useState(takeToken);
  const [password, setPassword] = useState("");
  const accept = useMutation({
    mutationFn: () =>
      ok(management.POST("/invitations/{token}/accept", { params: { path: { token } }, body: password ? { password } : null })),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    accept.mutate();
  };
  if (accept.data) {
    return (
      <DoorPage title="Welcome">
        <p className="mb-4 text-soft">
          {accept.data.email} is now {accept.data.role} in {accept.data.organization}.
        </p>
        <Link to="/sign-in" className={`${buttonClass("primary")} w-full`}>
          Sign in
        </Link>
      </DoorPage>
    );
  }
  return (
    <DoorPage title="Accept an invitation">
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Invitation" help="The text that you were given.">
          <Input value={token} onChange={(event) => setToken(event.target.value)} required autoComplete="off" spellCheck={false} />
        </Field>
        <Field label="Password" help="For an address that is new here: choose one. Otherwise leave it empty.">
          <Input type="password" autoComplete="new-password" value={password} onChange={(event) => setPassword(event.target.value)} />
        </Field>
        {accept.isError && <ProblemNote error={accept.error} />}
        <Button type="submit" variant="primary" busy={accept.isPending}>
          Join
        </Button>
      </form>
    </DoorPage>
  );
}
