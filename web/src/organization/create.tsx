import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { management, ok, type Schemas } from "../api/client";
import { NamedForm } from "./named-form";

/** Whoever makes an organization owns it. */
export function CreateOrganization({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const create = useMutation({
    mutationFn: (named: Schemas["Named"]) => ok(management.POST("/organizations", { body: named })),
    onSuccess: async ({ id }) => {
      await queries.invalidateQueries({ queryKey: ["me"] });
      onClose();
      void navigate({ to: "/o/$organization/projects", params: { organization: id } });
    },
  });
  return <NamedForm what="organization" create={create} onClose={onClose} />;
}
