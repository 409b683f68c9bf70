// Checks of one client program, as in checks.py: named by their functions, run in order, told a line each.
export const RELAYED = "mock/mock-model";
export const PLAIN = "woollama/case-plain";
export const TOOLS = "woollama/case-tools";

export async function main(checks) {
  const base = process.argv[2];
  let failed = 0;
  for (const check of checks) {
    try {
      await check(base);
      console.log(`ok ${check.name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${check.name}\n# ${String(error?.stack ?? error).replaceAll("\n", "\n# ")}`);
    }
  }
  process.exit(failed ? 1 : 0);
}
