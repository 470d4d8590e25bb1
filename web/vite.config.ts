import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const service = process.env.HEADWATER_URL ?? "http://127.0.0.1:8080";
const proxy = { "/v1": service, "/docs": service, "/openapi": service, "/errors": service };

export default defineConfig({
  plugins: [react(), tailwindcss()],
  // Data URLs would need an exception in the content security policy.
  build: { outDir: "dist/site", emptyOutDir: true, assetsInlineLimit: 0, chunkSizeWarningLimit: 800 },
  server: { proxy },
  preview: { proxy },
  test: { include: ["src/**/*.test.ts"] },
});
