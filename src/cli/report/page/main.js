// The page as a whole: its sections, in their order.

const SECTIONS = { runs: runsSection, study: studySection, controller: controllerSection, evaluation: evaluationSection };

function main() {
  const page = JSON.parse(document.getElementById("data").textContent);
  const [header, content, footer] = ["header", "main", "footer"].map((tag) => document.querySelector(tag));
  const sections = page.sections.map((section) => ({ id: newId("section"), ...SECTIONS[section.kind](section, page) }));
  header.append(element("h1", {}, sections.length === 1 ? sections[0].title : page.title));
  if (sections.length > 1) {
    const links = sections.map(({ id, title }) => element("li", {}, element("a", { href: `#${id}` }, title)));
    header.append(element("nav", { "aria-label": "Parts of this page" }, element("ul", {}, links)));
  }
  for (const { id, title, content: parts } of sections) {
    const heading = sections.length > 1 ? element("h2", { id: `${id}-title` }, title) : null;
    const label = heading ? { "aria-labelledby": `${id}-title` } : { "aria-label": title };
    content.append(filled(document.createElement("section"), { id, ...label }, [heading, parts]));
  }
  footer.append(element("p", {}, `Made by qgd ${page.version}, qgd report. Everything is in this file; it loads nothing and sends nothing.`));
  drawAll();
  document.documentElement.dataset.drawn = "yes";
}

main();
