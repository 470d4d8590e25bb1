import { useMutation, useQuery } from "@tanstack/react-query";
import { management, ok } from "../api/client";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Loaded } from "../ui/loaded";
import { ProblemNote } from "../ui/problem-note";
import { DataTable } from "../ui/table";
import { toast } from "../ui/toast";
import { MOVES, moveId } from "./moves";

/** Shows first what would move. */
export function Rebalance({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const plan = useQuery({
    queryKey: ["rebalance"],
    queryFn: () => ok(management.POST("/cluster/rebalance", { params: { query: { dry_run: true } } })),
    gcTime: 0,
  });
  const run = useMutation({
    mutationFn: () => ok(management.POST("/cluster/rebalance", {})),
    onSuccess: ({ moves }) => {
      toast(`${moves.length} ${moves.length === 1 ? "move" : "moves"} began.`);
      onDone();
      onClose();
    },
  });
  const count = plan.data?.moves.length ?? 0;
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button variant="primary" busy={run.isPending} disabled={count === 0} onClick={() => run.mutate()}>
        Move {count > 0 ? count : ""} copies
      </Button>
    </>
  );
  return (
    <Dialog
      title="Rebalance"
      description="Moves copies so that brokers share the work evenly. This is what would move."
      open
      onClose={onClose}
      wide
      footer={footer}
    >
      <Loaded query={plan}>
        {({ moves }) => (
          <div className="-mx-5">
            <DataTable
              label="Planned moves"
              rows={moves}
              columns={MOVES.slice(0, 5)}
              rowId={moveId}
              maxHeight="50dvh"
              empty={<p className="px-5 py-4 text-soft">The cluster is balanced: nothing would move.</p>}
            />
          </div>
        )}
      </Loaded>
      {run.isError && <ProblemNote error={run.error} className="mt-4" />}
    </Dialog>
  );
}
