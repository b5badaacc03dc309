// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parses documents and compares the events with what they must be: a DTD with general, parameter and
 * external entities, default attributes, namespaces, CDATA, comments, processing instructions, UTF-16
 * and Latin-1; whole, byte by byte and through XML_GetBuffer; and documents that must be refused.
 */
#include <expat.h>

#include "worker.h"

struct seen {
        char text[4096];
        size_t length;
        unsigned int elements, attributes, comments, instructions, entities, externals, sections;
        unsigned int namespaces, notations, declared;
        XML_Parser parser;
};

static const char document[] =
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        "<!DOCTYPE r [\n"
        "<!ELEMENT r (a|b)*><!ELEMENT a (#PCDATA)><!ELEMENT b EMPTY>\n"
        "<!ATTLIST a kind (x|y) 'x' note CDATA #IMPLIED>\n"
        "<!ENTITY one 'first'><!ENTITY two '&one; and second'>\n"
        "<!ENTITY % par '<!ENTITY three \"third\">'>%par;\n"
        "<!ENTITY ext SYSTEM 'file.ent'>\n"
        "<!NOTATION gif SYSTEM 'viewer'>\n"
        "]>\n"
        "<r xmlns='urn:r' xmlns:p='urn:p'><a note='&two;'>&two;/&three;</a>\n"
        "<!-- remark --><?target data?><b/><![CDATA[<raw>&amp;]]><p:a p:k='v' note='\xc3\xa4'>&ext;"
        "</p:a>&#65;&lt;&#x263A;</r>\n";

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
        struct seen *seen = data;

        MUST(name[0]);
        seen->elements++;
        for (size_t i = 0; attributes[i]; i += 2)
                seen->attributes++;
        MUST(XML_GetSpecifiedAttributeCount(seen->parser) >= 0);
        MUST(XML_GetCurrentLineNumber(seen->parser) >= 1);
}

static void XMLCALL on_end(void *data, const XML_Char *name)
{
        (void)data;
        MUST(name[0]);
}

static void XMLCALL on_text(void *data, const XML_Char *text, int length)
{
        struct seen *seen = data;

        MUST(seen->length + (size_t)length < sizeof(seen->text));
        memcpy(seen->text + seen->length, text, (size_t)length);
        seen->length += (size_t)length;
        seen->text[seen->length] = 0;
}

static void XMLCALL on_comment(void *data, const XML_Char *text)
{
        MUST(!strcmp(text, " remark "));
        ((struct seen *)data)->comments++;
}

static void XMLCALL on_instruction(void *data, const XML_Char *target, const XML_Char *text)
{
        MUST(!strcmp(target, "target") && !strcmp(text, "data"));
        ((struct seen *)data)->instructions++;
}

static void XMLCALL on_entity(void *data, const XML_Char *name, int is_parameter,
                              const XML_Char *value, int length, const XML_Char *base,
                              const XML_Char *system, const XML_Char *public,
                              const XML_Char *notation)
{
        (void)is_parameter, (void)base, (void)public, (void)notation;
        MUST(name[0] && (value ? length > 0 : system != NULL));
        ((struct seen *)data)->entities++;
}

static void XMLCALL on_section(void *data)
{
        ((struct seen *)data)->sections++;
}

static void XMLCALL on_namespace(void *data, const XML_Char *prefix, const XML_Char *uri)
{
        (void)prefix;
        MUST(uri[0]);
        ((struct seen *)data)->namespaces++;
}

static void XMLCALL on_notation(void *data, const XML_Char *name, const XML_Char *base,
                                const XML_Char *system, const XML_Char *public)
{
        (void)base, (void)system, (void)public;
        MUST(!strcmp(name, "gif"));
        ((struct seen *)data)->notations++;
}

static void XMLCALL on_element_declared(void *data, const XML_Char *name, XML_Content *model)
{
        struct seen *seen = data;

        MUST(name[0] && model);
        seen->declared++;
        XML_FreeContentModel(seen->parser, model);
}

static int XMLCALL on_external(XML_Parser parser, const XML_Char *context, const XML_Char *base,
                               const XML_Char *system, const XML_Char *public)
{
        struct seen *seen = XML_GetUserData(parser);
        XML_Parser inner = XML_ExternalEntityParserCreate(parser, context, NULL);

        (void)base, (void)public;
        MUST(inner && !strcmp(system, "file.ent"));
        seen->externals++;
        seen->parser = inner;
        MUST(XML_Parse(inner, "in<b/>side", 10, 1) == XML_STATUS_OK);
        XML_ParserFree(inner);
        seen->parser = parser;
        return 1;
}

static XML_Parser new_parser(struct seen *seen, bool namespaces)
{
        XML_Parser parser = namespaces ? XML_ParserCreateNS(NULL, '|') : XML_ParserCreate(NULL);

        MUST(parser);
        memset(seen, 0, sizeof(*seen));
        seen->parser = parser;
        XML_SetUserData(parser, seen);
        XML_SetElementHandler(parser, on_start, on_end);
        XML_SetCharacterDataHandler(parser, on_text);
        XML_SetCommentHandler(parser, on_comment);
        XML_SetProcessingInstructionHandler(parser, on_instruction);
        XML_SetEntityDeclHandler(parser, on_entity);
        XML_SetCdataSectionHandler(parser, on_section, on_section);
        XML_SetStartNamespaceDeclHandler(parser, on_namespace);
        XML_SetNotationDeclHandler(parser, on_notation);
        XML_SetElementDeclHandler(parser, on_element_declared);
        XML_SetExternalEntityRefHandler(parser, on_external);
        XML_SetParamEntityParsing(parser, XML_PARAM_ENTITY_PARSING_UNLESS_STANDALONE);
        XML_SetHashSalt(parser, 4711);
        return parser;
}

static void check_seen(const struct seen *seen, bool namespaces)
{
        MUST(strstr(seen->text, "first and second/third"));
        MUST(strstr(seen->text, "<raw>&amp;"));
        MUST(strstr(seen->text, "inside"));
        MUST(strstr(seen->text, "A<\xe2\x98\xba"));
        MUST(seen->elements == 5);
        /* xmlns attributes are attributes only where nobody asked for namespaces. */
        MUST(seen->attributes == (namespaces ? 4u : 6u));
        MUST(seen->namespaces == (namespaces ? 2u : 0u));
        MUST(seen->comments == 1 && seen->instructions == 1 && seen->entities == 5);
        MUST(seen->externals == 1 && seen->sections == 2 && seen->notations == 1);
        MUST(seen->declared == 3);
}

static void parse_whole(bool namespaces)
{
        struct seen seen;
        XML_Parser parser = new_parser(&seen, namespaces);

        MUST(XML_Parse(parser, document, sizeof(document) - 1, 1) == XML_STATUS_OK);
        check_seen(&seen, namespaces);
        XML_ParserFree(parser);
}

static void parse_pieces(size_t piece, bool buffer)
{
        struct seen seen;
        XML_Parser parser = new_parser(&seen, true);
        size_t size = sizeof(document) - 1;

        for (size_t at = 0; at < size; at += piece) {
                int length = (int)(size - at < piece ? size - at : piece);
                int is_last = at + piece >= size;

                if (buffer) {
                        void *room = XML_GetBuffer(parser, length);

                        MUST(room);
                        memcpy(room, document + at, (size_t)length);
                        MUST(XML_ParseBuffer(parser, length, is_last) == XML_STATUS_OK);
                } else {
                        MUST(XML_Parse(parser, document + at, length, is_last) == XML_STATUS_OK);
                }
        }
        check_seen(&seen, true);
        XML_ParserFree(parser);
}

/* One parser for two documents; a stop in the middle and a resumption. */
static void parse_again(void)
{
        struct seen seen;
        XML_Parser parser = new_parser(&seen, false);

        MUST(XML_Parse(parser, "<x>1</x>", 8, 1) == XML_STATUS_OK);
        MUST(!strcmp(seen.text, "1"));
        MUST(XML_ParserReset(parser, "ISO-8859-1") == XML_TRUE);
        XML_SetUserData(parser, &seen);
        memset(&seen, 0, sizeof(seen));
        XML_SetCharacterDataHandler(parser, on_text);
        MUST(XML_Parse(parser, "<x>\xe4</x>", 8, 1) == XML_STATUS_OK);
        MUST(!strcmp(seen.text, "\xc3\xa4"));
        XML_ParserFree(parser);
}

static void parse_utf16(bool big)
{
        static const char ascii[] = "<r a='v'>deep <b>er</b></r>";
        char wide[2 * sizeof(ascii)] = { big ? '\xfe' : '\xff', big ? '\xff' : '\xfe' };
        struct seen seen;
        XML_Parser parser = new_parser(&seen, false);

        for (size_t i = 0; ascii[i]; i++)
                wide[2 + 2 * i + big] = ascii[i];
        MUST(XML_Parse(parser, wide, (int)(2 * sizeof(ascii)), 1) == XML_STATUS_OK);
        MUST(!strcmp(seen.text, "deep er") && seen.elements == 2 && seen.attributes == 1);
        XML_ParserFree(parser);
}

static void parse_deep(void)
{
        static char text[12000];
        size_t at = 0;
        struct seen seen;
        XML_Parser parser = new_parser(&seen, true);

        for (int i = 0; i < 300; i++)
                at += (size_t)sprintf(text + at, "<n%d a%d='%d'>", i, i, i);
        for (int i = 299; i >= 0; i--)
                at += (size_t)sprintf(text + at, "</n%d>", i);
        MUST(XML_Parse(parser, text, (int)at, 1) == XML_STATUS_OK);
        MUST(seen.elements == 300 && seen.attributes == 300);
        XML_ParserFree(parser);
}

static void refuse(const char *text, enum XML_Error error)
{
        struct seen seen;
        XML_Parser parser = new_parser(&seen, true);

        MUST(XML_Parse(parser, text, (int)strlen(text), 1) == XML_STATUS_ERROR);
        MUST(XML_GetErrorCode(parser) == error);
        MUST(XML_ErrorString(error));
        XML_ParserFree(parser);
}

int main(void)
{
        for (;;) {
                parse_whole(false);
                parse_whole(true);
                parse_pieces(1, false);
                parse_pieces(17, true);
                parse_again();
                parse_utf16(false);
                parse_utf16(true);
                parse_deep();
                refuse("<a><b></a>", XML_ERROR_TAG_MISMATCH);
                refuse("<a b='1' b='2'/>", XML_ERROR_DUPLICATE_ATTRIBUTE);
                refuse("<!DOCTYPE a [<!ENTITY e '&e;'>]><a>&e;</a>", XML_ERROR_RECURSIVE_ENTITY_REF);
                refuse("<p:a/>", XML_ERROR_UNBOUND_PREFIX);
                refuse("<a", XML_ERROR_UNCLOSED_TOKEN);
                worker_ok();
        }
}
