import { defineConfig } from "vitest/config";

/** In a real browser against the real service: one file after the other, each with a service of its own. */
export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
});
