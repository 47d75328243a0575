"""Catalogue of all texts of the collector's pages, in English and French."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from collector.kinds import KINDS
from collector.kinds.kind import Both
from collector.model.own_problem import OwnProblem


class Language(StrEnum):
    """Language of the pages."""

    ENGLISH = "en"
    FRENCH = "fr"


# Both languages side by side: no text can exist in one of them alone. Keys of vocabularies end in their word,
# as in "state.silent"; tests compare them with the vocabularies.
_WORDS: dict[str, Both] = {
    "title": ("Sites and their floor", "Les sites et leur débit plancher"),
    "lead": (
        "Capacity measured at the IP layer, against what each site was promised.",
        "Capacité mesurée à la couche IP, comparée à ce qui a été promis à chaque site.",
    ),
    "all-sites": ("All sites", "Tous les sites"),
    "state.below-floor": ("Below floor", "Sous le plancher"),
    "state.silent": ("Silent", "Muet"),
    "state.suspect": ("Suspect", "Suspect"),
    "state.waiting": ("Waiting", "En attente"),
    "state.not-in-inventory": ("Not in inventory", "Hors inventaire"),
    "state.ok": ("OK", "Conforme"),
    "explain.below-floor": (
        "several tests that agree show a line below its floor",
        "plusieurs tests concordants montrent une ligne sous son plancher",
    ),
    "explain.suspect": (
        "a floor test has failed and is being repeated",
        "un test du plancher a échoué et va être répété",
    ),
    "explain.silent": (
        "no measurement for three intervals of its most frequent schedule",
        "aucune mesure depuis trois intervalles de sa mesure la plus fréquente",
    ),
    "explain.waiting": ("no recent floor verdict", "pas de verdict récent sur le plancher"),
    "explain.not-in-inventory": (
        "it measures, but the inventory does not list it",
        "il mesure, mais ne figure pas dans l'inventaire",
    ),
    "explain.ok": ("the line carries at least its floor", "la ligne atteint au moins son plancher"),
    "waiting.measurement": ("Waiting for the first measurement", "En attente de la première mesure"),
    "waiting.verdict": ("Waiting for a floor verdict", "En attente d'un verdict sur le plancher"),
    "column.state": ("State", "État"),
    "column.site": ("Site", "Site"),
    "column.down": ("Down / floor", "Descendant / plancher"),
    "column.up": ("Up / floor", "Montant / plancher"),
    "column.rtt": ("RTT", "Aller-retour"),
    "column.loss": ("Loss", "Pertes"),
    "column.age": ("Newest", "Dernière mesure"),
    "of": ("of", "sur"),
    "at-least": ("at least", "au moins"),
    "stale": ("no longer current", "n'est plus à jour"),
    "verdict.pass": ("pass", "conforme"),
    "verdict.fail": ("fail", "échec"),
    "verdict.grey": ("too close to the floor", "trop proche du seuil"),
    "verdict.undetermined": ("undetermined", "indéterminé"),
    "verdict.unconfirmed": ("unconfirmed", "non confirmé"),
    "verdict.invalid": ("invalid", "non valable"),
    "presence.online": ("agent connected", "agent connecté"),
    "presence.stopped": ("agent stopped", "agent arrêté"),
    "presence.connection-lost": ("agent's connection lost", "connexion de l'agent perdue"),
    "trouble.": ("last attempt:", "dernière tentative :"),
    "failure.internal-error": ("error in the agent", "erreur de l'agent"),
    "failure.deadline-exceeded": ("took too long", "trop long"),
    "failure.cancelled": ("cancelled", "annulée"),
    "failure.sender-slow": ("sender too slow", "émetteur trop lent"),
    "failure.sender-stalled": ("sender stalled", "émetteur bloqué"),
    "failure.receiver-slow": ("receiver too slow", "récepteur trop lent"),
    "failure.send-blocked": ("sending blocked locally", "émission bloquée localement"),
    "failure.counters-unavailable": ("line counters unavailable", "compteurs de ligne indisponibles"),
    "failure.clock-stepped": ("clock was stepped", "horloge recalée"),
    "failure.configuration": ("agent misconfigured", "agent mal configuré"),
    "failure.name-unknown": ("name unknown", "nom inconnu"),
    "failure.peer-refused": ("peer refused", "refusée par le pair"),
    "failure.peer-busy": ("peer busy", "pair occupé"),
    "failure.peer-protocol": ("peer broke the protocol", "le pair enfreint le protocole"),
    "failure.peer-slow": ("peer too slow", "pair trop lent"),
    "failure.servfail": ("resolver failed", "échec du résolveur"),
    "failure.refused": ("resolver refused", "refusée par le résolveur"),
    "failure.wrong-answer": ("wrong answer", "mauvaise réponse"),
    "failure.no-answer": ("no answer", "pas de réponse"),
    "failure.network-unreachable": ("network unreachable", "réseau inaccessible"),
    "failure.connection-lost": ("connection lost", "connexion perdue"),
    "failure.test-port-blocked": ("test port blocked", "port de test bloqué"),
    "failure.line-busy": ("line busy", "ligne occupée"),
    "failure.missed-slot": ("slot missed", "créneau manqué"),
    "failure.site-in-use": ("gave way to the site", "cédé au trafic du site"),
    "failure.budget-spent": ("byte budget spent", "quota d'octets épuisé"),
    "cause.site": ("power or local network", "électricité ou réseau local"),
    "cause.access-line": ("access line", "ligne d'accès"),
    "cause.beyond-access": ("beyond the access line", "au-delà de la ligne d'accès"),
    "cause.peer": ("measurement peer", "pair de mesure"),
    "cause.broker": ("our broker, or the path to it", "notre broker, ou le chemin vers lui"),
    "cause.dns": ("the site's resolver (DNS)", "le résolveur du site (DNS)"),
    "cause.collector": ("our collector", "notre collecteur"),
    "cause.agent-stopped": ("agent stopped", "agent arrêté"),
    "cause.unknown": ("cause unknown", "cause inconnue"),
    "cause.not-reported": ("cause not reported yet", "cause pas encore signalée"),
    "level.fleet": ("Our side", "De notre côté"),
    "level.peer": ("Peer {}", "Pair {}"),
    "level.pop": ("POP {}", "POP {}"),
    "level.departement": ("Département {}", "Département {}"),
    "incident.all-open": (
        "{sites} sites unreachable since {begin}",
        "{sites} sites injoignables depuis {begin}",
    ),
    "incident.some-open": (
        "{still} of {sites} sites still unreachable, since {begin}",
        "{still} sites sur {sites} encore injoignables, depuis {begin}",
    ),
    "incident.unanswered": (
        "answers none of its {sites} sites since {begin}",
        "ne répond plus à aucun de ses {sites} sites depuis {begin}",
    ),
    "incident.over": (
        "{sites} sites unreachable from {begin} to {end}",
        "{sites} sites injoignables de {begin} à {end}",
    ),
    "incident.where": ("{}:", "{} :"),
    "incident.show": ("these sites", "ces sites"),
    "incident.no-line": ("no site's line is the cause", "aucune ligne de site n'est en cause"),
    "incident.part-of": ("part of:", "fait partie de :"),
    "incidents": ("Incidents of several sites", "Incidents touchant plusieurs sites"),
    "incidents.more": ("{} more", "{} de plus"),
    "outage.open": ("outage since {begin}: {cause}", "coupure depuis {begin} : {cause}"),
    "outage.over": ("outage from {begin} to {end}: {cause}", "coupure de {begin} à {end} : {cause}"),
    "outage.undated": ("outage until {end}: {cause}", "coupure jusqu'à {end} : {cause}"),
    "begin.undated": ("its clock was not set", "son horloge n'était pas à l'heure"),
    "silent-since": (
        "silent since {}: the cause may be site, line or agent",
        "muet depuis {} : la cause peut être le site, la ligne ou l'agent",
    ),
    "outages": ("Outages", "Coupures"),
    "outages.lead": (
        "Outages of the last 31 days as agents reported them, from the ledger.",
        "Coupures des 31 derniers jours signalées par les agents, d'après le registre.",
    ),
    "outages.site": ("Outages of {}", "Coupures de {}"),
    "outages.total": (
        "Outages: {count} · total duration: {lasted} · not caused by site or line: {others}.",
        "Coupures : {count} · durée totale : {lasted} · sans cause au site ni sur sa ligne : {others}.",
    ),
    "outages.unknown": (
        "No site with this name or id is in the inventory, and none has reported.",
        "Aucun site portant ce nom ou cet identifiant n'est à l'inventaire, et aucun ne s'est manifesté.",
    ),
    "outages.matches": ("Sites found: {}", "Sites trouvés : {}"),
    "outages.none": (
        "No outage was reported within the last 31 days.",
        "Aucune coupure n'a été signalée ces 31 derniers jours.",
    ),
    "outages.no-incidents": (
        "No incident of several sites within the last 31 days.",
        "Aucun incident touchant plusieurs sites ces 31 derniers jours.",
    ),
    "outages.silent": (
        "A site that is still unreachable reports its outage when it is back.",
        "Un site encore injoignable signalera sa coupure à son retour.",
    ),
    "outages.unreadable": ("The ledger cannot be read:", "Le registre est illisible :"),
    "outages.left-out": ("This list is incomplete:", "Cette liste est incomplète :"),
    "outages.since": (
        "The site reported more outages than this page loads. All reports since {} are here.",
        "Le site a signalé plus de coupures que cette page n'en charge. Tout depuis {} est ici.",
    ),
    "outages.incomplete": (
        "Sites that reported more outages than this page loads: {}. Their older outages are not grouped.",
        "Sites ayant signalé trop de coupures pour cette page : {}. Les plus anciennes ne sont pas groupées.",
    ),
    "outages.unlisted": (
        "The newest {shown} are listed; {more} more are not.",
        "Les {shown} entrées les plus récentes sont affichées, {more} autres ne le sont pas.",
    ),
    "outages.find": ("Name or id of the site", "Nom ou identifiant du site"),
    "outages.back": ("Sites and their floor", "Les sites et leur débit plancher"),
    "column.begin": ("Begin", "Début"),
    "column.end": ("End", "Fin"),
    "column.lasted": ("Lasted", "Durée"),
    "column.cause": ("Cause", "Cause"),
    "column.incident": ("Incident", "Incident"),
    "column.where": ("Where", "Où"),
    "column.sites": ("Sites", "Sites"),
    "end.open": ("still open", "en cours"),
    "end.not-reported": ("not reported; at the latest {}", "non signalée ; au plus tard {}"),
    "unit.day": ("d", "j"),
    "notice.suspect": (
        "suspect, direction {direction}: a floor test failed and is being repeated",
        "suspect, sens {direction} : un test du plancher a échoué et va être répété",
    ),
    "notice.records-disagree": (
        "records of agent and peer differ by {number} %, direction {direction}",
        "relevés de l'agent et du pair divergents de {number} %, sens {direction}",
    ),
    "notice.claimed-twice": (
        "another site claims the same test of a peer, direction {direction}: neither is compared",
        "un autre site revendique le même test d'un pair, sens {direction} : aucun n'est comparé",
    ),
    "direction.down": ("down", "descendant"),
    "direction.up": ("up", "montant"),
    "column.search": ("Max. down / up", "Max. desc. / mont."),
    "explain.search": (
        "highest rate that the last search measured on the line",
        "débit maximal que la dernière recherche a mesuré sur la ligne",
    ),
    "under-load": ("under load", "sous charge"),
    "search": ("Site, town, POP, supplier", "Site, commune, POP, fournisseur"),
    "departement": ("Département", "Département"),
    "everywhere": ("All départements", "Tous les départements"),
    "show": ("Show", "Afficher"),
    "clear": ("Clear", "Effacer"),
    "none-matching": ("No site matches this search.", "Aucun site ne correspond à cette recherche."),
    "no-sites": (
        "The inventory is empty and no site has reported yet.",
        "L'inventaire est vide et aucun site ne s'est encore manifesté.",
    ),
    "page": ("Page", "Page"),
    "previous": ("Previous", "Précédente"),
    "next": ("Next", "Suivante"),
    "pages": ("Pages", "Pages"),
    "sites": ("sites", "sites"),
    "updated": ("As of", "État au"),
    "refreshes": ("refreshed every 30 seconds", "actualisé toutes les 30 secondes"),
    "problems": ("Problems of the collector itself:", "Problèmes du collecteur lui-même :"),
    "problem.broker": ("{}", "pas de connexion au broker : {}"),
    "problem.ledger": ("ledger {}", "le registre n'accepte rien : {}"),
    "problem.blackout": (
        "no measurement of any site reaches the ledger: no site is called silent meanwhile",
        "aucune mesure n'atteint le registre : aucun site n'est déclaré muet pendant ce temps",
    ),
    "problem.inventory": (
        "the changed inventory has mistakes, the one before stays in use: {}",
        "l'inventaire modifié contient des erreurs, le précédent reste utilisé : {}",
    ),
    "problem.strangers": (
        "more than {} sites outside the inventory reported: the others are in the ledger, not on this page",
        "plus de {} sites hors inventaire ont émis : les autres sont au registre, mais pas sur cette page",
    ),
    "problem.damage": (
        "the ledger is damaged: {} rows, batches or tables; plancher-collector ledger verify lists them",
        "le registre est endommagé : {} lignes, lots ou tables, que plancher-collector ledger verify énumère",
    ),
    "problem.clock": (
        "this machine's wall clock has stepped by {} s and is not believed yet: does NTP work?",
        "l'horloge de cette machine a sauté de {} s et n'est pas encore crue : NTP fonctionne-t-il ?",
    ),
    "skip": ("Skip to the sites", "Aller aux sites"),
    "age.second": ("{} s ago", "il y a {} s"),
    "age.minute": ("{} min ago", "il y a {} min"),
    "age.hour": ("{} h ago", "il y a {} h"),
    "age.day": ("{} d ago", "il y a {} j"),
    "age.future": ("clock ahead", "horloge en avance"),
    "unit.rate": ("Mbit/s", "Mbit/s"),
    "unit.ms": ("ms", "ms"),
    "decimal": (".", ","),
    "thousands": (",", "\N{NARROW NO-BREAK SPACE}"),
    "completeness": ("Completeness", "Complétude"),
    "completeness.lead": (
        "Measurements of each site: in the ledger, missing, lost, and in doubt.",
        "Mesures de chaque site : au registre, manquantes, perdues et douteuses.",
    ),
    "completeness.back": ("Sites and their floor", "Les sites et leur débit plancher"),
    "completeness.all-sites": ("Completeness of all sites", "Complétude de tous les sites"),
    "completeness.all": ("All sites that reported", "Tous les sites qui ont émis"),
    "completeness.counted": ("Counted at", "Compté le"),
    "finding.in-doubt": ("In doubt", "Douteux"),
    "finding.missing": ("Missing", "Manquant"),
    "finding.declared-lost": ("Declared lost", "Déclaré perdu"),
    "finding.complete": ("Complete", "Complet"),
    "explain.in-doubt": (
        "measurements arrived twice with different content, or two journals continue the same one",
        "des mesures sont arrivées deux fois avec un contenu différent, ou deux journaux prolongent le même",
    ),
    "explain.missing": (
        "not in the ledger, although later measurements have been there for an hour",
        "absent du registre alors que des mesures ultérieures y figurent depuis une heure",
    ),
    "explain.declared-lost": (
        "the site itself declared measurements lost for good, and why",
        "le site lui-même a déclaré des mesures définitivement perdues, et pourquoi",
    ),
    "explain.complete": ("nothing is missing, lost or in doubt", "rien ne manque, n'est perdu ni douteux"),
    "explain.pending": (
        "not in the ledger yet; later measurements have been there for less than an hour",
        "pas encore au registre ; les mesures ultérieures y figurent depuis moins d'une heure",
    ),
    "column.committed": ("In the ledger", "Au registre"),
    "column.missing": ("Missing", "Manquant"),
    "column.pending": ("Pending", "Attendu"),
    "column.declared": ("Declared lost", "Déclaré perdu"),
    "column.conflicts": ("Conflicts", "Conflits"),
    "column.forks": ("Forks", "Bifurcations"),
    "column.epoch": ("Journal epoch", "Époque du journal"),
    "column.period": ("Measured", "Mesuré"),
    "explain.conflicts": (
        "measurements that arrived twice with different content; both contents are kept",
        "mesures arrivées deux fois avec un contenu différent ; les deux contenus sont conservés",
    ),
    "explain.forks": (
        "journals that continue the same one, or from before its end: image restored, or card cloned",
        "journaux prolongeant le même qu'un autre, ou d'avant sa fin : image restaurée ou carte clonée",
    ),
    "reason.dropped": ("the journal was full", "journal plein"),
    "reason.not-stored": ("the disk could not be written", "écriture impossible sur le disque"),
    "reason.damaged": ("the journal was damaged", "journal endommagé"),
    "epoch.follows": ("continues", "prolonge"),
    "epoch.fork": (
        "another epoch continues the same one: image restored, or card cloned",
        "une autre époque prolonge la même : image restaurée ou carte clonée",
    ),
    "epoch.behind": (
        "begins before the end of the previous epoch: image restored, card cloned, or data lost by the disk",
        "commence avant la fin de la précédente : image restaurée, carte clonée ou perte par le disque",
    ),
    "epoch.nothing": ("nothing received", "rien reçu"),
    "epoch.lacking": ("Not in the ledger:", "Absent du registre :"),
    "epoch.more": ("and others", "et d'autres"),
    "epoch.left-out": ("{} more epochs are not shown.", "{} autres époques ne sont pas affichées."),
    "run.between": ("between {} and {}", "entre {} et {}"),
    "run.after": ("after {}", "après {}"),
    "run.before": ("before {}", "avant {}"),
    "completeness.unknown": (
        "The ledger has no measurements of this site.",
        "Le registre ne contient aucune mesure de ce site.",
    ),
    "completeness.none": ("The ledger is still empty.", "Le registre est encore vide."),
    "language.other": ("Français", "English"),
}


def _typeset(words: str) -> str:
    # French puts a space before both signs, and no line may begin with one of them.
    return words.replace(" :", "\N{NO-BREAK SPACE}:").replace(" %", "\N{NO-BREAK SPACE}%")


def _of_kinds() -> Iterator[tuple[str, Both]]:
    """Texts that the kinds of measurement bring."""
    for kind in KINDS:
        yield f"trouble.{kind.name}", kind.attempt
        yield from ((f"notice.{word}", texts) for word, texts in kind.sentences.items())


_ALL = _WORDS | dict(_of_kinds())
CATALOGUE: Mapping[Language, Mapping[str, str]] = {
    language: {key: _typeset(words[place]) for key, words in _ALL.items()}
    for place, language in enumerate(Language)
}


def problem_text(words: Mapping[str, str], problem: OwnProblem) -> str:
    """Sentence about a problem of the collector itself. Texts of libraries in it stay English."""
    return words[f"problem.{problem.kind}"].format(problem.detail)


def choose(asked: str, accepted: str, otherwise: Language) -> Language:
    """Choose the language asked for, else the first known one of Accept-Language, else the default."""
    tags = [asked, *(part.partition(";")[0] for part in accepted[:200].split(","))]
    spoken = (tag.strip().lower().partition("-")[0] for tag in tags)
    return next((Language(tag) for tag in spoken if tag in set(Language)), otherwise)
